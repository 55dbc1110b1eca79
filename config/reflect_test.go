package config

import "reflect"

// topicFields are the fields of a Topic by name.
func topicFields(t *Topic) map[string]any {
	v := reflect.ValueOf(*t)
	out := map[string]any{}
	for i := range v.NumField() {
		out[v.Type().Field(i).Name] = v.Field(i).Interface()
	}
	return out
}
