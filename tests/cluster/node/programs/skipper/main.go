// Skipper is the ingress controller: of those that exist, it can be built from Go modules alone.
package main

import (
	"log"

	"github.com/zalando/skipper"
	"github.com/zalando/skipper/config"
)

func main() {
	options := config.NewConfig()
	if err := options.Parse(); err != nil {
		log.Fatal(err)
	}
	log.Fatal(skipper.Run(options.ToOptions()))
}
