// An OpenTelemetry Collector with the OTLP receiver, and an exporter that writes each batch as one line of OTLP JSON.
package main

import (
	"context"
	"log"
	"os"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/yamlprovider"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/service/telemetry/otelconftelemetry"
)

var kind = component.MustNewType("lines")

type config struct{}

var writing sync.Mutex

func write(line []byte, err error) error {
	if err != nil {
		return err
	}
	writing.Lock()
	defer writing.Unlock()
	_, err = os.Stdout.Write(append(line, '\n'))
	return err
}

func lines() exporter.Factory {
	traces := func(ctx context.Context, set exporter.Settings, c component.Config) (exporter.Traces, error) {
		var marshaler ptrace.JSONMarshaler
		return exporterhelper.NewTraces(ctx, set, c, func(_ context.Context, batch ptrace.Traces) error {
			return write(marshaler.MarshalTraces(batch))
		})
	}
	metrics := func(ctx context.Context, set exporter.Settings, c component.Config) (exporter.Metrics, error) {
		var marshaler pmetric.JSONMarshaler
		return exporterhelper.NewMetrics(ctx, set, c, func(_ context.Context, batch pmetric.Metrics) error {
			return write(marshaler.MarshalMetrics(batch))
		})
	}
	return exporter.NewFactory(
		kind,
		func() component.Config { return &config{} },
		exporter.WithTraces(traces, component.StabilityLevelDevelopment),
		exporter.WithMetrics(metrics, component.StabilityLevelDevelopment),
	)
}

func factories() (otelcol.Factories, error) {
	received, exported := otlpreceiver.NewFactory(), lines()
	return otelcol.Factories{
		Telemetry: otelconftelemetry.NewFactory(),
		Receivers: map[component.Type]receiver.Factory{received.Type(): received},
		Exporters: map[component.Type]exporter.Factory{exported.Type(): exported},
	}, nil
}

func main() {
	settings := otelcol.CollectorSettings{
		BuildInfo: component.BuildInfo{Command: "collector", Version: "test"},
		Factories: factories,
		ConfigProviderSettings: otelcol.ConfigProviderSettings{ResolverSettings: confmap.ResolverSettings{
			URIs:              []string{"yaml:" + os.Args[1]},
			ProviderFactories: []confmap.ProviderFactory{yamlprovider.NewFactory()},
		}},
	}
	collector, err := otelcol.NewCollector(settings)
	if err != nil {
		log.Fatal(err)
	}
	if err := collector.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
}
