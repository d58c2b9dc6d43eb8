package main

import (
	"context"
	"iter"

	"github.com/dpskit/dpskit/pkg/dps/enrollment"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

// kind is one of the two kinds of enrollment, so that the commands on them are
// written once.
type kind[T enrollment.Object] struct {
	noun    string // as in errors: "enrollment group"
	plural  string
	command string // of this program: "group"

	get    func(*service.Client, context.Context, string, *service.GetOptions) (T, error)
	put    func(*service.Client, context.Context, T, *service.PutOptions) (T, error)
	remove func(*service.Client, context.Context, string, *service.DeleteOptions) error
	list   func(*service.Client, context.Context, *service.ListOptions) iter.Seq2[T, error]
	keys   func(*service.Client, context.Context, string, *service.GetOptions) (service.Attestation, error)

	columns []string
	row     func(T) []string
	// detail are the columns and cells that the show of one object adds.
	detailColumns []string
	detail        func(T) []string
}

var groupKind = kind[service.EnrollmentGroup]{
	noun: "enrollment group", plural: "enrollment groups", command: "group",
	get: (*service.Client).GetGroup, put: (*service.Client).PutGroup, remove: (*service.Client).DeleteGroup,
	list: (*service.Client).Groups, keys: (*service.Client).GetGroupAttestation,
	columns: groupColumns, row: groupRow, detailColumns: settingColumns, detail: settingCells[service.EnrollmentGroup],
}

var individualKind = kind[service.IndividualEnrollment]{
	noun: "individual enrollment", plural: "individual enrollments", command: "individual",
	get: (*service.Client).GetEnrollment, put: (*service.Client).PutEnrollment, remove: (*service.Client).DeleteEnrollment,
	list: (*service.Client).Enrollments, keys: (*service.Client).GetEnrollmentAttestation,
	columns: individualColumns, row: individualRow,
	detailColumns: append(append([]string{}, settingColumns...), registrationStateColumns...),
	detail: func(e service.IndividualEnrollment) []string {
		return append(settingCells(e), registrationStateCells(e)...)
	},
}
