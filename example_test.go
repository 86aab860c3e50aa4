// SPDX-License-Identifier: Apache-2.0

package parley_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/parley-ipc/parley"
)

type Person struct{ Name string }

type Greeting struct{ Text string }

// A contract is declared once and used by both sides.
var SayHello = parley.NewOp[Person, Greeting]("examples.SayHello")

func hello(_ context.Context, p Person) (Greeting, error) {
	if p.Name == "" {
		return Greeting{}, &parley.Error{Code: parley.CodeBadRequest, Message: "who?"}
	}
	return Greeting{Text: "Hello, " + p.Name + "!"}, nil
}

// serve runs a service with one operation until stop is called.
func serve(ctx context.Context, name string) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	conn, err := parley.Dial(ctx, exampleURL, parley.WithName(name))
	if err != nil {
		fmt.Println(err)
		return cancel
	}
	service := parley.NewService(conn, parley.ServiceConfig{Name: "examples"})
	SayHello.Handle(service, hello)
	ended := make(chan error)
	go func() { ended <- service.Run(ctx) }()
	<-service.Ready()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			fmt.Println(err)
		}
		conn.Close()
	}
}

func Example() {
	ctx := context.Background()
	defer serve(ctx, "first")()

	conn, err := parley.Dial(ctx, exampleURL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()

	greeting, err := SayHello.Call(ctx, conn, Person{Name: "Ada"})
	fmt.Println(greeting.Text, err)

	_, err = SayHello.Call(ctx, conn, Person{})
	var answer *parley.Error
	fmt.Println(errors.As(err, &answer), errors.Is(err, parley.CodeBadRequest), err)
	// Output:
	// Hello, Ada! <nil>
	// true true bad-request: who?
}

func ExampleOp_Start() {
	ctx := context.Background()
	defer serve(ctx, "first")()

	conn, err := parley.Dial(ctx, exampleURL)
	if err != nil {
		fmt.Println(err)
		return
	}
	pending, err := SayHello.Start(ctx, conn, Person{Name: "Bob"})
	if err != nil {
		fmt.Println(err)
		return
	}
	id := pending.ID // all that has to be kept
	conn.Close()

	// Another process, at another time.
	conn, err = parley.Dial(ctx, exampleURL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	greeting, err := parley.Resume[Greeting](conn, id).Wait(ctx)
	fmt.Println(greeting.Text, err)
	// Output: Hello, Bob! <nil>
}

func ExampleOp_Gather() {
	ctx := context.Background()
	defer serve(ctx, "first")()
	defer serve(ctx, "second")()

	conn, err := parley.Dial(ctx, exampleURL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	var from []string
	all := parley.Until{All: true, Total: 5 * time.Second}
	for reply, err := range SayHello.Gather(ctx, conn, Person{Name: "all"}, all) {
		if err != nil {
			fmt.Println(err)
			return
		}
		from = append(from, reply.From)
	}
	slices.Sort(from)
	fmt.Println(from)
	// Output: [first second]
}

func ExampleTopic_Events() {
	ctx := context.Background()
	conn, err := parley.Dial(ctx, exampleURL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()

	arrived := parley.NewTopic[Person]("examples.arrived")
	// A group keeps what is published while none of its members is there.
	hosts := parley.From{Group: "hosts"}
	if err := arrived.Follow(ctx, conn, hosts); err != nil {
		fmt.Println(err)
		return
	}
	if err := arrived.Publish(ctx, conn, Person{Name: "Ada"}); err != nil {
		fmt.Println(err)
		return
	}
	for event, err := range arrived.Events(ctx, conn, hosts) {
		fmt.Println(event.Value.Name, event.Meta.Key, err)
		break
	}
	// Output: Ada examples.arrived <nil>
}
