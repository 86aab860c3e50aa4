// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
)

// item and order are the structs of orders.thrift, as encoding/json writes them: members in the
// order of the field ids.
type item struct {
	ID     int64    `json:"id"`
	Name   string   `json:"name"`
	Count  int32    `json:"count"`
	Price  float64  `json:"price"`
	Active bool     `json:"active"`
	Tags   []string `json:"tags"`
}

type order struct {
	ID       int64             `json:"id"`
	Customer string            `json:"customer"`
	Note     string            `json:"note"`
	Labels   map[string]string `json:"labels"`
	Items    []item            `json:"items"`
	Digest   []byte            `json:"digest"`
}

// size is how large the body of a work is.
type size struct {
	name  string
	items int
}

// sizes are about 200 B, 1 KiB and 16 KiB of JSON.
func sizes() []size { return []size{{"200 B", 0}, {"1 KiB", 7}, {"16 KiB", 131}} }

// body returns an order as JSON.
func (s size) body() ([]byte, error) {
	o := order{
		ID:       1 << 40,
		Customer: "Jürgen Müller",
		Note:     "ring twice\n\"second\" floor",
		Labels:   map[string]string{"region": "eu-west"},
		Items:    []item{},
		Digest:   []byte("0123456789abcdef"),
	}
	if s.items > 0 {
		o.Labels["tier"] = "gold"
	}
	for i := range s.items {
		o.Items = append(o.Items, item{
			ID:     int64(1_000_000_007 * (i + 1)),
			Name:   fmt.Sprintf("article number %d", i),
			Count:  int32(i%7 + 1),
			Price:  19.99 + float64(i)/4,
			Active: i%3 != 0,
			Tags:   []string{"red", "large"},
		})
	}
	return json.Marshal(o)
}

// backwards returns the same with the members of every object in the opposite order.
func backwards(body []byte) ([]byte, error) {
	var o order
	if err := json.Unmarshal(body, &o); err != nil {
		return nil, err
	}
	type reversedItem struct {
		Tags   []string `json:"tags"`
		Active bool     `json:"active"`
		Price  float64  `json:"price"`
		Count  int32    `json:"count"`
		Name   string   `json:"name"`
		ID     int64    `json:"id"`
	}
	reversed := struct {
		Digest   []byte            `json:"digest"`
		Items    []reversedItem    `json:"items"`
		Labels   map[string]string `json:"labels"`
		Note     string            `json:"note"`
		Customer string            `json:"customer"`
		ID       int64             `json:"id"`
	}{o.Digest, []reversedItem{}, o.Labels, o.Note, o.Customer, o.ID}
	for _, i := range o.Items {
		reversed.Items = append(reversed.Items,
			reversedItem{i.Tags, i.Active, i.Price, i.Count, i.Name, i.ID})
	}
	return json.Marshal(reversed)
}
