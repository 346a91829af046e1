// Holds dashboards to the schema of Grafana's SDK: a line for each field that it does not know, lacks or refuses.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/heatmap"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

func main() {
	register(cog.NewRuntime())
	for _, path := range os.Args[1:] {
		raw, err := os.ReadFile(path)
		if err != nil {
			log.Fatal(err)
		}
		for _, line := range problems(raw) {
			fmt.Printf("%s: %s\n", path, line)
		}
	}
}

// Of another kind of panel the SDK would take whatever there is.
func register(runtime *cog.Runtime) {
	runtime.RegisterPanelcfgVariant(heatmap.VariantConfig())
	runtime.RegisterPanelcfgVariant(stat.VariantConfig())
	runtime.RegisterPanelcfgVariant(timeseries.VariantConfig())
	runtime.RegisterDataqueryVariant(prometheus.VariantConfig())
}

func problems(raw []byte) []string {
	var strict, plain dashboard.Dashboard
	found := lines("", strict.UnmarshalJSONStrict(raw))
	// The strict reading leaves panels out of what it returns, so what bounds are asked of is read once more.
	found = append(found, lines("", json.Unmarshal(raw, &plain))...)
	found = append(found, lines("", plain.Validate())...)
	return append(found, ofQueries(raw)...)
}

// The SDK takes a query for one of Prometheus only where it says so itself, beside its panel.
func ofQueries(raw []byte) []string {
	var made struct {
		Panels []struct{ Targets []json.RawMessage }
	}
	found := lines("", json.Unmarshal(raw, &made))
	for number, panel := range made.Panels {
		for _, target := range panel.Targets {
			var query prometheus.Dataquery
			found = append(found, lines(fmt.Sprintf("panels[%d] ", number), query.UnmarshalJSONStrict(target))...)
		}
	}
	return found
}

// What is well may come as an error of nothing.
func lines(where string, err error) []string {
	if err == nil || err.Error() == "" {
		return nil
	}
	var found []string
	for _, line := range strings.Split(err.Error(), "\n") {
		found = append(found, where+line)
	}
	return found
}
