package serviceapi

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/state"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/store"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/web"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"
)

// Page sizes of queries.
const (
	defaultPage = 100
	maxPage     = 1000
)

// Headers of queries.
const (
	headerContinuation = "X-Ms-Continuation"
	headerItemType     = "X-Ms-Item-Type"
	headerMaxItems     = "X-Ms-Max-Item-Count"
)

// paging is which part of a collection a request asks for.
type paging struct {
	collection string
	after      string
	size       int
}

// continuation is the inside of a token: an array of one element, as the
// service's own tokens have it.
type continuation struct {
	Token string            `json:"token"`
	Range continuationRange `json:"range"`
}

type continuationRange struct {
	Min string `json:"min"`
	Max string `json:"max"`
}

func readPaging(req *web.Request, collection string) (paging, error) {
	p := paging{collection: collection, size: defaultPage}
	if text := req.Header.Get(headerMaxItems); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return p, refusal(http.StatusBadRequest, 400000, ruleQuery, "Invalid x-ms-max-item-count.")
		}
		if n > 0 {
			p.size = min(n, maxPage)
		}
	}
	token := req.Header.Get(headerContinuation)
	if token == "" {
		return p, nil
	}
	after, ok := readToken(token, collection)
	if !ok {
		return p, refusal(http.StatusBadRequest, 400000, ruleQuery, "Invalid continuation token.")
	}
	p.after = after
	return p, nil
}

// readToken returns the key in a token if it belongs to the collection.
func readToken(token, collection string) (string, bool) {
	data, err := base64.StdEncoding.DecodeString(token)
	if err != nil {
		return "", false
	}
	var parts []continuation
	if json.Unmarshal(data, &parts) != nil || len(parts) != 1 {
		return "", false
	}
	after, ok := strings.CutPrefix(parts[0].Token, collection+"#")
	return after, ok && after != ""
}

func (p paging) answer(itemType string, items any, next string) *web.Response {
	header := http.Header{headerItemType: {itemType}, "X-Content-Type-Options": {"nosniff"}}
	if next != "" {
		data, _ := json.Marshal([]continuation{{ // strings always encode
			Token: p.collection + "#" + next, Range: continuationRange{Min: "", Max: "FF"},
		}})
		header[headerContinuation] = []string{base64.StdEncoding.EncodeToString(data)}
	}
	return &web.Response{Status: http.StatusOK, Header: header, Body: items}
}

// queryForm is every query text that clients send. The emulator has no filter.
var queryForm = regexp.MustCompile(
	`(?i)^\s*(\*|select\s+\*(\s+from\s+(enrollments|enrollmentGroups|deviceRegistrations))?)?\s*$`)

func checkQuery(text string) error {
	if queryForm.MatchString(text) {
		return nil
	}
	r := refusal(http.StatusBadRequest, 400000, ruleQuery, "The query is not supported.")
	r.Expected = "SELECT *, with or without FROM; the emulator does not filter"
	return r
}

func readQuery(req *web.Request, collection string) (paging, error) {
	var spec wire.QuerySpecification
	if err := req.JSON(maxBody, &spec); err != nil {
		return paging{}, err
	}
	if err := checkQuery(spec.Query); err != nil {
		return paging{}, err
	}
	return readPaging(req, collection)
}

func (a *api) queryEnrollments(req *web.Request) (*web.Response, error) {
	p, err := readQuery(req, "enrollments")
	if err != nil {
		return nil, err
	}
	items, next := []wire.IndividualEnrollment{}, ""
	err = a.Store.View(req.Context(), func(r store.Reader) error {
		page, n, err := state.Enrollments(r, p.after, p.size)
		for _, e := range page {
			items = append(items, showEnrollment(e))
		}
		next = n
		return err
	})
	if err != nil {
		return nil, err
	}
	return p.answer("Enrollment", items, next), nil
}

func (a *api) queryGroups(req *web.Request) (*web.Response, error) {
	p, err := readQuery(req, "enrollmentGroups")
	if err != nil {
		return nil, err
	}
	items, next := []wire.EnrollmentGroup{}, ""
	err = a.Store.View(req.Context(), func(r store.Reader) error {
		page, n, err := state.Groups(r, p.after, p.size)
		for _, g := range page {
			items = append(items, showGroup(g))
		}
		next = n
		return err
	})
	if err != nil {
		return nil, err
	}
	return p.answer("EnrollmentGroup", items, next), nil
}
