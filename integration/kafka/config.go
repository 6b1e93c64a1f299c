package kafka

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Options say what cluster to start. The zero value is one plain node.
type Options struct {
	Nodes int // 1 (the default) or 3
	// TLS adds a listener with TLS, which takes client certificates if they are
	// offered.
	TLS bool
	// SASL adds a listener with PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 and
	// OAUTHBEARER (unsecured tokens), with TLS one that has both. The users are
	// admin with the password admin-secret, and app with app-secret.
	SASL bool
	// ACLs turns the authorizer on: who is not allowed to may do nothing, but for
	// the user admin and those who come without a name.
	ACLs bool
	// Settings are more lines of server.properties; they win over those of this
	// package.
	Settings map[string]string
	// Dir holds everything and is left as it is. By default it is a temporary
	// folder, which Close removes.
	Dir string
}

// Users of the SASL listeners.
const (
	AdminUser     = "admin"
	AdminPassword = "admin-secret"
	AppUser       = "app"
	AppPassword   = "app-secret"
)

// clusterID is any UUID in Kafka's spelling.
const clusterID = "c2FyYW1ha2l0LXRlc3RzLQ"

// listener is one of the ways into a node.
type listener struct {
	name string
	port int
}

// listeners are those for clients.
func (o Options) listeners() []listener {
	all := []listener{{"PLAINTEXT", plaintextPort}}
	if o.SASL {
		all = append(all, listener{"SASL_PLAINTEXT", saslPort})
	}
	if o.TLS {
		all = append(all, listener{"SSL", sslPort})
	}
	if o.TLS && o.SASL {
		all = append(all, listener{"SASL_SSL", saslSSLPort})
	}
	return all
}

// properties are the settings of a node.
func (o Options) properties(dir string, p ports, id int) map[string]string {
	replicas, inSync := strconv.Itoa(o.Nodes), strconv.Itoa((o.Nodes+2)/2)
	var clients, voters []string
	for _, l := range o.listeners() {
		clients = append(clients, l.name+"://"+p.addr(id, l.port))
	}
	for n := 1; n <= o.Nodes; n++ {
		voters = append(voters, fmt.Sprintf("%d@%s", n, p.addr(n, controllerPort)))
	}
	advertised := strings.Join(clients, ",")
	all := map[string]string{
		"process.roles":                                    "broker,controller",
		"node.id":                                          strconv.Itoa(id),
		"controller.quorum.voters":                         strings.Join(voters, ","),
		"controller.listener.names":                        "CONTROLLER",
		"listeners":                                        advertised + ",CONTROLLER://" + p.addr(id, controllerPort),
		"advertised.listeners":                             advertised,
		"inter.broker.listener.name":                       "PLAINTEXT",
		"listener.security.protocol.map":                   "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL",
		"log.dirs":                                         filepath.Join(nodeDir(dir, id), "data"),
		"auto.create.topics.enable":                        "false",
		"num.partitions":                                   "3",
		"default.replication.factor":                       replicas,
		"min.insync.replicas":                              inSync,
		"offsets.topic.replication.factor":                 replicas,
		"transaction.state.log.min.isr":                    inSync,
		"share.coordinator.state.topic.min.isr":            inSync,
		"transaction.state.log.replication.factor":         replicas,
		"share.coordinator.state.topic.replication.factor": replicas,
		// Small internal topics, and a consumer that waits for no others.
		"offsets.topic.num.partitions":         "1",
		"transaction.state.log.num.partitions": "1",
		"group.initial.rebalance.delay.ms":     "0",
		// Several nodes share a few processors.
		"num.network.threads":               "2",
		"num.io.threads":                    "2",
		"num.recovery.threads.per.data.dir": "1",
		"log.cleaner.dedupe.buffer.size":    "16777216",
		// A crash is noticed soon. By default these are 2000, 9000 and 30000.
		"broker.heartbeat.interval.ms": "500",
		"broker.session.timeout.ms":    "3000",
		"replica.lag.time.max.ms":      "5000",
		// A deleted topic is gone soon (60000), and a quota acts within a test.
		"log.segment.delete.delay.ms": "1000",
		"quota.window.num":            "3",
		"log.segment.bytes":           "67108864",
	}
	if o.TLS {
		maps.Copy(all, map[string]string{
			"ssl.keystore.type":                      "PEM",
			"ssl.keystore.location":                  filepath.Join(dir, "tls", serverFile),
			"ssl.truststore.type":                    "PEM",
			"ssl.truststore.location":                filepath.Join(dir, "tls", caFile),
			"listener.name.ssl.ssl.client.auth":      "requested",
			"listener.name.sasl_ssl.ssl.client.auth": "none",
		})
	}
	if o.SASL {
		for _, l := range o.listeners() {
			if strings.HasPrefix(l.name, "SASL_") {
				maps.Copy(all, sasl(strings.ToLower(l.name)))
			}
		}
	}
	if o.ACLs {
		all["authorizer.class.name"] = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
		all["super.users"] = "User:" + AdminUser + ";User:ANONYMOUS"
	}
	maps.Copy(all, o.Settings)
	return all
}

// sasl are the settings of a listener with SASL.
func sasl(listener string) map[string]string {
	const security = "org.apache.kafka.common.security."
	prefix := "listener.name." + listener + "."
	plain := fmt.Sprintf(`%splain.PlainLoginModule required username=%q password=%q user_%s=%q user_%s=%q;`,
		security, AdminUser, AdminPassword, AdminUser, AdminPassword, AppUser, AppPassword)
	return map[string]string{
		prefix + "sasl.enabled.mechanisms":        "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
		prefix + "plain.sasl.jaas.config":         plain,
		prefix + "scram-sha-256.sasl.jaas.config": security + "scram.ScramLoginModule required;",
		prefix + "scram-sha-512.sasl.jaas.config": security + "scram.ScramLoginModule required;",
		prefix + "oauthbearer.sasl.jaas.config": security +
			`oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";`,
	}
}

// formatArguments are those of Kafka's StorageTool.
func (o Options) formatArguments(properties string) []string {
	args := []string{"format", "--cluster-id", clusterID, "--config", properties}
	if !o.SASL {
		return args
	}
	for user, password := range map[string]string{AdminUser: AdminPassword, AppUser: AppPassword} {
		for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
			args = append(args, "--add-scram", fmt.Sprintf("%s=[name=%s,password=%s]", mechanism, user, password))
		}
	}
	return args
}

func nodeDir(dir string, id int) string { return filepath.Join(dir, fmt.Sprint("node", id)) }

func propertiesFile(dir string, id int) string {
	return filepath.Join(nodeDir(dir, id), "server.properties")
}

func writeProperties(path string, all map[string]string) error {
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(all)) {
		// A backslash is the only character of a value that the format changes.
		fmt.Fprintf(&text, "%s=%s\n", key, strings.ReplaceAll(all[key], `\`, `\\`))
	}
	return os.WriteFile(path, []byte(text.String()), 0o600)
}
