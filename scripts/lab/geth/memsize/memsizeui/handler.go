// Package memsizeui stands in for a page on which the node shows the sizes of its objects: it reaches into the Go
// runtime in a way that linkers since Go 1.23 refuse.
package memsizeui

import "net/http"

// Handler of that page: there is none.
type Handler struct{}

// Add would put an object on the page.
func (*Handler) Add(string, interface{}) {}

func (*Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }
