package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gokafka/admin"
	"gokafka/internal/show"
)

// askFlags are those of all commands that ask a cluster.
type askFlags struct {
	bootstrap, output string
	json              bool
	timeout           time.Duration
}

func (f *askFlags) add(c *cobra.Command) {
	p := c.PersistentFlags()
	p.StringVar(&f.bootstrap, "bootstrap-server", "localhost:9092", "brokers to ask, host:port, separated by commas; the first that answers is asked")
	p.StringVarP(&f.output, "output", "o", string(show.AsTable), "table or json")
	p.BoolVar(&f.json, "json", false, "the same as --output json")
	p.DurationVar(&f.timeout, "timeout", 10*time.Second, "time for the whole command")
}

func (f *askFlags) addresses() []string {
	return strings.FieldsFunc(f.bootstrap, func(r rune) bool { return r == ',' || r == ' ' })
}

func (f *askFlags) options() admin.Options {
	return admin.Options{Bootstrap: f.addresses(), Timeout: f.timeout}
}

// print prints what ask finds. What a command that changes something did is printed also where not all of it succeeded.
func (f *askFlags) print(cmd *cobra.Command, ask func(ctx context.Context) (show.View, error)) error {
	format, err := show.ParseFormat(f.output)
	if err != nil {
		return err
	}
	if f.json {
		format = show.AsJSON
	}
	if f.timeout <= 0 {
		return errors.New("--timeout must be positive")
	}
	v, err := ask(cmd.Context())
	if err != nil {
		return errors.New(show.Line(err.Error()))
	}
	err = show.Print(cmd.OutOrStdout(), v, format)
	if o, ok := v.(admin.Outcome); ok {
		err = errors.Join(err, o.Err())
	}
	return err
}

// run is print for a command whose arguments have been read.
func (f *askFlags) run(ask func(ctx context.Context, o admin.Options, args []string) (show.View, error)) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		return f.print(cmd, func(ctx context.Context) (show.View, error) { return ask(ctx, f.options(), args) })
	}
}

// help is what a command with subcommands runs without one: a wrong name would else be no error.
func help(cmd *cobra.Command, _ []string) error { return cmd.Help() }
