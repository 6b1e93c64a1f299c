package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// fewestCuts is how many connections have to be cut for the cuts to prove
// anything.
const fewestCuts = 20

// breaks are what a network does between a producer and the nodes.
func breaks() []Scenario {
	return []Scenario{
		{Name: "the network is slow", Network: true, Run: func(ctx context.Context, s *Stage) error {
			const lag = 100 * time.Millisecond
			s.network.delay(lag)
			began := time.Since(s.load.start)
			if err := s.lasts(ctx, 12*time.Second); err != nil {
				return err
			}
			fastest, some := s.load.fastest(began)
			s.network.delay(0)
			s.Healed()
			if !some || fastest < 2*lag {
				return fmt.Errorf("no message, or one that took only %s", fastest)
			}
			return nil
		}},
		{Name: "nothing passes for a while", Network: true, Hurts: 7 * time.Second, Run: func(ctx context.Context, s *Stage) error {
			goOn := s.network.stop()
			defer goOn()
			if err := s.lasts(ctx, 8*time.Second); err != nil {
				return err
			}
			s.Healed()
			return nil
		}},
		{Name: "a firewall forgets the connections", Network: true, Hurts: 3 * time.Second, Recovery: 20 * time.Second, Run: func(ctx context.Context, s *Stage) error {
			if s.network.forget() == 0 {
				return errors.New("there was no connection")
			}
			s.Healed() // whoever connects anew is served
			return s.lasts(ctx, 20*time.Second)
		}},
		{Name: "connections are cut at any byte", Network: true, Run: func(ctx context.Context, s *Stage) error {
			s.network.mortality(true)
			if err := s.lasts(ctx, 15*time.Second); err != nil {
				return err
			}
			s.network.mortality(false)
			s.Healed()
			if cuts, _ := s.network.done(); cuts < fewestCuts {
				return fmt.Errorf("only %d connections were cut", cuts)
			}
			return nil
		}},
		{Name: "connections are closed when idle", Network: true, Run: func(ctx context.Context, s *Stage) error {
			for range 2 {
				_, before := s.network.done()
				s.load.pausing.Store(true)
				if err := s.lasts(ctx, idle+2*time.Second); err != nil {
					return err
				}
				if _, ended := s.network.done(); ended == before {
					return errors.New("no connection was closed")
				}
				s.load.pausing.Store(false)
				s.Healed()
				if err := sleep(ctx, time.Second); err != nil {
					return err
				}
			}
			return nil
		}},
	}
}
