// Package checks is what the Go programs share: a list of named checks that each end in time, printed as TAP.
package checks

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Clients is more than the pool has servers.
var (
	Clients = number("DRIVERS_CLIENTS")
	Rounds  = number("DRIVERS_ROUNDS")
	limit   = time.Duration(number("DRIVERS_LIMIT_S")) * time.Second
)

func number(name string) int {
	value, err := strconv.ParseFloat(os.Getenv(name), 64)
	if err != nil {
		fmt.Fprintln(os.Stderr, name, "has to be a number")
		os.Exit(2)
	}
	return int(value)
}

// URL says where the database is, for drivers that do not read the environment.
func URL() string {
	return fmt.Sprintf("host=%s port=%s user=%s password='%s' dbname=%s sslmode=disable",
		os.Getenv("PGHOST"), os.Getenv("PGPORT"), os.Getenv("PGUSER"), os.Getenv("PGPASSWORD"), os.Getenv("PGDATABASE"))
}

// Check is one of them; its context ends when its time is over.
type Check struct {
	Name string
	Run  func(ctx context.Context)
}

// Must ends the check unless err is nil.
func Must(err error) {
	if err != nil {
		panic(err)
	}
}

// Equal ends the check unless both are the same.
func Equal(got, want any) {
	if !reflect.DeepEqual(got, want) {
		panic(fmt.Errorf("%#v, not %#v", got, want))
	}
}

// One is for calls with a result and an error.
func One[T any](value T, err error) T {
	Must(err)
	return value
}

func problem(check Check) (reason error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		defer func() { done <- asError(recover()) }()
		check.Run(ctx)
	}()
	select {
	case reason = <-done:
	case <-time.After(limit + time.Second):
		reason = fmt.Errorf("not done after %s", limit)
	}
	return reason
}

func asError(value any) error {
	if value == nil {
		return nil
	}
	if err, ok := value.(error); ok {
		return err
	}
	return fmt.Errorf("%v", value)
}

// Run runs them all.
func Run(list ...Check) {
	for _, check := range list {
		if err := problem(check); err != nil {
			fmt.Printf("not ok - %s: %s\n", check.Name, strings.Join(strings.Fields(err.Error()), " "))
		} else {
			fmt.Printf("ok - %s\n", check.Name)
		}
	}
}

// AllClients runs work once for each client, at the same time, and ends the check with the first trouble.
func AllClients(work func(number int)) {
	var group sync.WaitGroup
	troubles := make(chan error, Clients)
	for i := 0; i < Clients; i++ {
		group.Add(1)
		go func(number int) {
			defer group.Done()
			defer func() {
				if err := asError(recover()); err != nil {
					troubles <- err
				}
			}()
			work(number)
		}(i)
	}
	group.Wait()
	select {
	case err := <-troubles:
		panic(err)
	default:
	}
}
