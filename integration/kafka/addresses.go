package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Nodes returns how many nodes there are; their ids are 1 to this number.
func (c *Cluster) Nodes() int { return len(c.nodes) }

// Dir returns the folder that holds everything.
func (c *Cluster) Dir() string { return c.dir }

// Addrs returns the addresses of all nodes, for clients without TLS and SASL.
func (c *Cluster) Addrs() []string {
	if c.foreign != nil {
		return slices.Clone(c.foreign)
	}
	return c.addrs(true, plaintextPort)
}

// SASLAddrs returns the addresses for clients with SASL, none without the
// option.
func (c *Cluster) SASLAddrs() []string { return c.addrs(c.options.SASL, saslPort) }

// TLSAddrs returns the addresses for clients with TLS, none without the option.
func (c *Cluster) TLSAddrs() []string { return c.addrs(c.options.TLS, sslPort) }

// SASLTLSAddrs returns the addresses for clients with SASL and TLS, none without
// both options.
func (c *Cluster) SASLTLSAddrs() []string {
	return c.addrs(c.options.SASL && c.options.TLS, saslSSLPort)
}

func (c *Cluster) addrs(there bool, port int) []string {
	if !there {
		return nil
	}
	var all []string
	for _, n := range c.nodes {
		all = append(all, c.ports.addr(n.id, port))
	}
	return all
}

// CA returns the file with the certificate of the servers' authority.
func (c *Cluster) CA() string { return c.tls(caFile) }

// OtherCA returns the file with an authority that has signed nothing.
func (c *Cluster) OtherCA() string { return c.tls(otherCAFile) }

// ClientCert returns the file with a certificate for clients, CN=client.
func (c *Cluster) ClientCert() string { return c.tls(clientFile) }

// ClientKey returns the file with the key of ClientCert.
func (c *Cluster) ClientKey() string { return c.tls(clientKeyFile) }

func (c *Cluster) tls(name string) string { return filepath.Join(c.dir, "tls", name) }

// TLSConfig returns what a client needs to trust the servers.
func (c *Cluster) TLSConfig() (*tls.Config, error) {
	ca, err := os.ReadFile(c.CA())
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("kafka: no certificate in %s", c.CA())
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}
