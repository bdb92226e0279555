package service_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/seed-645ce708/gossip/agent/service"
)

func TestFromTags(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		tags    map[string]string
		want    []service.Service
		wantErr []string // each must be part of the error
	}{
		{name: "no tags"},
		{name: "role and port", tags: map[string]string{"role": "web", "port": "80"},
			want: []service.Service{{Name: "web", Port: 80, Weight: 100}}},
		{name: "role alone has no port", tags: map[string]string{"role": "web"},
			want: []service.Service{{Name: "web", Weight: 100}}},
		{name: "port alone is no service", tags: map[string]string{"port": "80"}},
		{name: "full form", tags: map[string]string{"svc:db": "5432,w=50,p=2,drain"},
			want: []service.Service{{Name: "db", Port: 5432, Weight: 50, Priority: 2, Drain: true}}},
		{name: "sorted by name", tags: map[string]string{"svc:b": "2", "svc:a": "1", "role": "c"},
			want: []service.Service{{Name: "a", Port: 1, Weight: 100}, {Name: "b", Port: 2, Weight: 100}, {Name: "c", Weight: 100}}},
		{name: "svc form wins over role", tags: map[string]string{"svc:web": "8080", "role": "web", "port": "80"},
			want: []service.Service{{Name: "web", Port: 8080, Weight: 100}}},
		{name: "weight 0 is kept", tags: map[string]string{"svc:web": "80,w=0"},
			want: []service.Service{{Name: "web", Port: 80}}},
		{name: "a bad tag does not hide a good one", tags: map[string]string{"svc:a": "x", "svc:b": "2"},
			want:    []service.Service{{Name: "b", Port: 2, Weight: 100}},
			wantErr: []string{`tag "svc:a"="x"`, `port "x"`}},
		{name: "port 0", tags: map[string]string{"svc:a": "0"}, wantErr: []string{`port "0" is not a number from 1 to 65535`}},
		{name: "port too large", tags: map[string]string{"svc:a": "65536"}, wantErr: []string{`port "65536"`}},
		{name: "negative weight", tags: map[string]string{"svc:a": "1,w=-1"}, wantErr: []string{`weight "-1"`}},
		{name: "unknown setting", tags: map[string]string{"svc:a": "1,x=1"}, wantErr: []string{`unknown setting "x=1"`}},
		{name: "drain with a value", tags: map[string]string{"svc:a": "1,drain=1"}, wantErr: []string{"drain takes no value"}},
		{name: "no name", tags: map[string]string{"svc:": "1"}, wantErr: []string{"no name"}},
		{name: "bad port beside role", tags: map[string]string{"role": "web", "port": "http"}, wantErr: []string{`port "http"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := service.FromTags(tt.tags)
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("services: got %+v, want %+v", got, tt.want)
			}
			if (err != nil) != (tt.wantErr != nil) {
				t.Fatalf("error: got %v, want one with %q", err, tt.wantErr)
			}
			for _, part := range tt.wantErr {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q lacks %q", err, part)
				}
			}
		})
	}
}

func FuzzFromTags(f *testing.F) {
	f.Add("svc:web", "80,w=1,p=2,drain", "web")
	f.Fuzz(func(t *testing.T, key, value, role string) {
		services, _ := service.FromTags(map[string]string{key: value, "role": role})
		for _, s := range services {
			if s.Name == "" {
				t.Errorf("nameless service from %q=%q role %q", key, value, role)
			}
		}
	})
}
