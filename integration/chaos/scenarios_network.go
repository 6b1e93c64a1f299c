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
			s.network.delay(100 * time.Millisecond)
			if err := s.lasts(ctx, 12*time.Second); err != nil {
				return err
			}
			s.network.delay(0)
			s.Healed()
			if late, _ := s.network.done(); late == 0 {
				return errors.New("nothing was late")
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
		{Name: "a firewall forgets the connections", Network: true, Hurts: 3 * time.Second, Run: func(ctx context.Context, s *Stage) error {
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
			if _, cuts := s.network.done(); cuts < fewestCuts {
				return fmt.Errorf("only %d connections were cut", cuts)
			}
			return nil
		}},
	}
}
