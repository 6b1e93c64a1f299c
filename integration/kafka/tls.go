package kafka

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// The files of a cluster with TLS, in PEM, in its folder "tls".
const (
	caFile        = "ca.pem"
	serverFile    = "server.pem" // key and certificate, as Kafka wants them
	clientFile    = "client.pem"
	clientKeyFile = "client-key.pem"
	otherCAFile   = "other-ca.pem"
)

// identity is a key with its certificate.
type identity struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

// makeCertificates writes what a cluster and its clients need: an authority, a
// certificate for the servers, one for a client (CN=client), and the authority
// that nobody here trusts.
func makeCertificates(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	ca, err := newIdentity("test-ca", nil)
	if err != nil {
		return err
	}
	other, err := newIdentity("test-other-ca", nil)
	if err != nil {
		return err
	}
	server, err := newIdentity("server", ca)
	if err != nil {
		return err
	}
	client, err := newIdentity("client", ca)
	if err != nil {
		return err
	}
	serverKey, err := server.keyPEM()
	if err != nil {
		return err
	}
	clientKey, err := client.keyPEM()
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		caFile:        ca.certPEM(),
		otherCAFile:   other.certPEM(),
		serverFile:    slices.Concat(serverKey, server.certPEM(), ca.certPEM()),
		clientFile:    client.certPEM(),
		clientKeyFile: clientKey,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// newIdentity makes a certificate that issuer has signed, an authority if issuer
// is nil.
func newIdentity(name string, issuer *identity) (*identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		BasicConstraintsValid: true,
	}
	if issuer == nil {
		template.IsCA = true
		template.KeyUsage = x509.KeyUsageCertSign
		issuer = &identity{key: key, cert: template}
	} else {
		template.KeyUsage = x509.KeyUsageDigitalSignature
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
		template.DNSNames = []string{"localhost"}
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer.cert, &key.PublicKey, issuer.key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &identity{key: key, cert: cert}, nil
}

func (i *identity) certPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.cert.Raw})
}

func (i *identity) keyPEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(i.key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
