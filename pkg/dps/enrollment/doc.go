// Package enrollment works on enrollments and enrollment groups before they are
// sent: it finds what the service would refuse, compares what is wanted with
// what is stored, and merges the two.
//
//	if problems := enrollment.Check(e); len(problems) > 0 { … }
//	differences := enrollment.Diff(stored, wanted)
//	merged, err := enrollment.Overlay(stored, wanted)
//
// The service answers a mistake with a short sentence about a request of many
// members, and some mistakes only when a device registers. [Check] names the
// member, the mistake and the remedy for what is certain to be refused;
// [Warnings] for what is accepted and will disappoint later. The rules are those
// of the service's documentation and of its official clients
// (https://learn.microsoft.com/azure/iot-dps/concepts-service).
//
// Both kinds, service.EnrollmentGroup and service.IndividualEnrollment, share
// most of their members; [Of] gives a common view of them.
package enrollment
