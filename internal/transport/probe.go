package transport

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"

	"github.com/IBM/sarama"
)

// ErrNotKafka is the cause for an address where something answers that is no
// broker, or that wants to be spoken to in another way.
var ErrNotKafka = errors.New("it does not answer as a Kafka broker does: is the port right, and does it expect TLS?")

// probe asks an address for the versions it speaks, and looks at no more than
// the first bytes of the answer. sarama believes the length that an answer
// begins with, and allocates it: a gigabyte, if the answer is the "HTTP" of a web
// server or the alert of one that expects TLS.
func (t *Transport) probe(addr string) error {
	conf := t.connections
	if !conf.ApiVersionsRequest {
		return nil // for a broker that does not know the question
	}
	conn, err := t.dialer.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if conf.Net.TLS.Enable {
		conn = tls.Client(conn, tlsFor(addr, conf.Net.TLS.Config))
	}
	if err := conn.SetDeadline(time.Now().Add(conf.Net.ReadTimeout)); err != nil {
		return err
	}
	return askVersions(conn, conf.ClientID)
}

// tlsFor is the configuration for an address: as sarama's, with the host as the
// name to verify unless another one is set.
func tlsFor(addr string, conf *tls.Config) *tls.Config {
	if conf == nil {
		conf = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if conf.ServerName == "" {
		conf = conf.Clone()
		if host, _, err := net.SplitHostPort(addr); err == nil {
			conf.ServerName = host
		}
	}
	return conf
}

// The request, and what its answer may look like.
const (
	apiVersionsKey = 18
	correlation    = 0x70726f62
	mostOfAnswer   = 1 << 20 // a real one has about 500 bytes
)

// askVersions sends an ApiVersions request of version 0 and reads the length and
// the correlation id of the answer.
func askVersions(conn io.ReadWriter, clientID string) error {
	body := binary.BigEndian.AppendUint16(nil, apiVersionsKey)
	body = binary.BigEndian.AppendUint16(body, 0)
	body = binary.BigEndian.AppendUint32(body, correlation)
	if len(clientID) > 1<<10 {
		clientID = clientID[:1<<10]
	}
	body = binary.BigEndian.AppendUint16(body, uint16(len(clientID)))
	body = append(body, clientID...)
	if _, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)); err != nil {
		return err
	}
	var head [8]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return ErrNotKafka
		}
		return err
	}
	size := binary.BigEndian.Uint32(head[:4])
	if size < 6 || size > mostOfAnswer || binary.BigEndian.Uint32(head[4:]) != correlation {
		return ErrNotKafka
	}
	return nil
}

// connectTo connects to one address, with TLS and SASL as configured, and waits
// for the broker's first answer.
func (t *Transport) connectTo(addr string) (*sarama.Broker, error) {
	if err := t.probe(addr); err != nil {
		return nil, err
	}
	b := sarama.NewBroker(addr)
	if err := b.Open(t.connections); err != nil {
		return nil, err
	}
	if ok, err := b.Connected(); !ok {
		if err == nil {
			err = errNoAnswer
		}
		return nil, err
	}
	return b, nil
}
