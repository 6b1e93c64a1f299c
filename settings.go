package producer

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/IBM/sarama"
)

// changedSettings names the settings outside of Producer that differ between
// two configurations: those that belong to a client, not to a producer.
func changedSettings(before, after *sarama.Config) (names []string) {
	a, b := reflect.ValueOf(before).Elem(), reflect.ValueOf(after).Elem()
	for i := range a.NumField() {
		name := a.Type().Field(i).Name
		switch name {
		case "Producer", "ChannelBufferSize", "MetricRegistry":
			continue
		}
		names = append(names, differences(name, a.Field(i), b.Field(i))...)
	}
	return names
}

// differences compares two settings. Functions and what is behind pointers
// count as changed when they are others, not when they do something else.
func differences(name string, a, b reflect.Value) (names []string) {
	var same bool
	switch a.Kind() {
	case reflect.Struct:
		if a.Type() == reflect.TypeFor[sarama.KafkaVersion]() {
			same = a.Equal(b)
			break
		}
		for i := range a.NumField() {
			if field := a.Type().Field(i); field.IsExported() {
				names = append(names, differences(name+"."+field.Name, a.Field(i), b.Field(i))...)
			}
		}
		return names
	case reflect.Func, reflect.Map, reflect.Slice:
		same = a.Pointer() == b.Pointer()
	case reflect.Interface:
		same = a.IsNil() == b.IsNil() && (a.IsNil() || a.Elem().Type() == b.Elem().Type() &&
			(!a.Elem().Comparable() || a.Equal(b)))
	default:
		same = a.Equal(b)
	}
	if !same {
		return []string{name}
	}
	return nil
}

// describe lists the settings of a producer, as they are after all options and
// functions: the names are those of the options. Nothing of what proves who the
// producer is gets into it, and neither does the user's name.
func (c *config) describe(conf *sarama.Config, brokers []string) []Setting {
	limit := "none"
	if c.maxBufferedPerTopic > 0 {
		limit = fmt.Sprint(c.maxBufferedPerTopic)
	}
	sasl := "off"
	if conf.Net.SASL.Enable {
		if sasl = string(conf.Net.SASL.Mechanism); sasl == "" {
			sasl = sarama.SASLTypePlaintext
		}
	}
	tls := "off"
	if conf.Net.TLS.Enable {
		tls = "on"
		if conf.Net.TLS.Config != nil && conf.Net.TLS.Config.InsecureSkipVerify {
			tls = "on, without verifying the brokers"
		}
	}
	addrs := "of the client that was passed in"
	if brokers != nil {
		addrs = strings.Join(brokers, ", ")
	}
	p := &conf.Producer
	return []Setting{
		{"Brokers", addrs},
		{"ClientID", conf.ClientID},
		{"KafkaVersion", conf.Version.String()},
		{"TLS", tls},
		{"SASL", sasl},
		{"Acks", acksName(p.RequiredAcks)},
		{"Idempotence", fmt.Sprint(p.Idempotent)},
		{"DeliveryTimeout", c.deliveryTimeout.String()},
		{"RetryBackoff", fmt.Sprintf("%v to %v", c.backoff.Min, c.backoff.Max)},
		{"MaxBuffered", fmt.Sprint(c.maxBuffered)},
		{"MaxBufferedBytes", fmt.Sprint(c.maxBufferedBytes)},
		{"MaxBufferedPerTopic", limit},
		{"MaxBlock", c.maxBlock.String()},
		{"Linger", p.Flush.Frequency.String()},
		{"MaxMessageBytes", fmt.Sprint(p.MaxMessageBytes)},
		{"Compression", p.Compression.String()},
		{"UnknownTopicTimeout", c.unknownTopicTimeout.String()},
		{"Topics", strings.Join(c.topics, ", ")},
		{"AutoTopicCreation", fmt.Sprint(conf.Metadata.AllowAutoTopicCreation)},
		{"OnSuccess", setName(c.onSuccess)},
		{"OnError", setName(c.onError)},
		{"CallbackWorkers", fmt.Sprint(c.callbackWorkers)},
		{"SlowCallback", c.slowCallback.String()},
		{"StallTimeout", c.stallTimeout.String()},
		{"CloseTimeout", c.closeTimeout.String()},
	}
}

func acksName(acks sarama.RequiredAcks) string {
	switch acks {
	case sarama.NoResponse:
		return "0"
	case sarama.WaitForLocal:
		return "1"
	case sarama.WaitForAll:
		return "all"
	default:
		return fmt.Sprint(int16(acks))
	}
}

// setName is the name of a function of a user, or that there is none.
func setName(f any) string {
	if reflect.ValueOf(f).IsNil() {
		return "none"
	}
	return functionName(f)
}
