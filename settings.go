package producer

import (
	"reflect"

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
