#!/bin/sh
#
# certGen.sh takes the place of the two published scripts of this name, the one of
# Azure/azure-iot-sdk-c and the one of Azure/iotedge (tools/CACertificates in both):
# the same verbs, arguments and file names. The work is done by the program certgen.
#
# Needed: certgen beside this script or in PATH, or a checkout of dpskit and Go.
# Not needed: openssl, its configuration files, bash, a terminal, root.
#
#   ./certGen.sh create_root_and_intermediate
#   ./certGen.sh create_device_certificate my-device
#
# All files go to the current folder: certs/, private/ and the list certgen.json. (The
# script of iotedge wrote beside itself; CERTIFICATE_OUTPUT_DIR names another folder.)
#
# Where the two scripts differ, both sets of files are made, each as its script does:
#
#   verb                             files of azure-iot-sdk-c    files of iotedge
#   create_verification_certificate  verification-code           iot-device-verification-code
#   create_device_certificate        new-device, by the root     iot-device-NAME, by the intermediate
#   create_edge_device_certificate   new-edge-device             iot-edge-device-NAME
#
# The CAs are called as that of azure-iot-sdk-c calls them, and as that of iotedge does (with
# _ between the words) where CERTGEN_COPY asks for that one alone.
#
# What is better than before: a full chain and a PFX with the chain for every
# certificate; another device, or the same one again, works without being root; what is
# replaced is kept in the folder replaced/; private keys are readable by their owner
# alone; server certificates have alternative names. There is no openssl database
# (index.txt, serial, newcerts/) and there are no requests (csr/).
#
# Settings, all from the environment:
#
#   DEFAULT_VALIDITY_DAYS     days until certificates expire (30)
#   ROOT_CA_PASSWORD          pass phrase of the root's key (1234)
#   INTERMEDIATE_CA_PASSWORD  pass phrase of the intermediate's key (1234)
#   CERTGEN_PFX_PASSWORD      password of the PFX files (1234)
#   CERTGEN_PFX_PROFILE       modern, or legacy for Windows before 2019 (modern)
#   CERTGEN_KEY_TYPE          rsa-4096, or ec-p256 for much quicker runs, ... (rsa-4096)
#   CERTGEN_COPY              both, azure-iot-sdk-c or iotedge: whose files to make (both)
#   CERTIFICATE_OUTPUT_DIR    another folder than the current one
#   FORCE_NO_PROD_WARNING     true leaves out the closing warning
#   CERTGEN                   the program certgen, when it is somewhere else
#
# The exit code is 1 for a wrong call, else that of certgen.

set -eu


days=${DEFAULT_VALIDITY_DAYS:-30}
key_type=${CERTGEN_KEY_TYPE:-rsa-4096}
pfx_profile=${CERTGEN_PFX_PROFILE:-modern}
root_password=${ROOT_CA_PASSWORD:-1234}
intermediate_password=${INTERMEDIATE_CA_PASSWORD:-1234}
source='the variables ROOT_CA_PASSWORD and INTERMEDIATE_CA_PASSWORD'

# Passwords reach certgen in its environment: arguments can be read by every user.
CERTGEN_PFX_PASSWORD=${CERTGEN_PFX_PASSWORD:-1234}
export CERTGEN_PFX_PASSWORD
unset CERTGEN_CA_PASSWORD CERTGEN_KEY_PASSWORD CERTGEN_INTERMEDIATE_KEY_PASSWORD

root_file=certs/azure-iot-test-only.root.ca.cert.pem
intermediate_file=certs/azure-iot-test-only.intermediate.cert.pem

usage() {
    cat <<'USAGE'
Usage: certGen.sh VERB [ARGUMENT...]

  create_root_and_intermediate
        Makes a root CA and an intermediate CA. Those of before, and all that they
        signed, are moved to the folder replaced.
  create_verification_certificate CODE
        Makes the certificate that proves possession of the root CA.
  create_device_certificate NAME
        Makes a device certificate: new-device, signed by the root, and
        iot-device-NAME, signed by the intermediate.
  create_device_certificate_from_intermediate NAME
        Makes a device certificate signed by the intermediate.
  create_edge_device_certificate NAME
  create_edge_device_ca_certificate NAME
        Makes a CA certificate for an IoT Edge device, with ".ca" behind the name.
  create_edge_device_identity_certificate NAME
        Makes the certificate that an IoT Edge device signs in with.
  create_edge_server_certificate NAME
        Makes a TLS server certificate for the host NAME.
  install_root_ca_from_files CERTIFICATE KEY [PASSWORD]
        Takes a root CA that you have, from files, and makes an intermediate below
        it. Better than as an argument is the password in $ROOT_CA_PASSWORD, which
        also encrypts the key in ./private; with PASSWORD alone the key keeps that.
  install_root_ca_from_cli CERTIFICATE KEY [PASSWORD]
        The same with the PEM texts themselves. Other users can read arguments:
        prefer install_root_ca_from_files.

Certificates go to ./certs and keys to ./private. The head of the script lists the
settings. Nothing that it makes is for production.
USAGE
}

# fail MESSAGE [HINT...]
fail() {
    printf 'certGen.sh: error: %s\n' "$1" >&2
    shift
    for hint; do
        printf 'certGen.sh: hint: %s\n' "$hint" >&2
    done
    exit 1
}

say() { printf '%s\n' "$*"; }

# take COUNT PLACEHOLDERS ARGUMENT... checks the arguments of a verb.
take() {
    want=$1 placeholders=$2
    shift 2
    [ $# -eq "$want" ] || fail "$verb takes $placeholders, got $# arguments" \
        'put quotes around a name with blanks'
    for argument; do
        [ -n "$argument" ] || fail "$verb takes $placeholders, got an empty one"
    done
}

# absolute PATH prints a path that holds wherever the program runs.
absolute() {
    case $1 in
    /* | [A-Za-z]:*) printf '%s\n' "$1" ;;
    *) printf '%s\n' "$PWD/$1" ;;
    esac
}

# find_certgen sets certgen to the program, or checkout to the sources to run it from.
find_certgen() {
    script=$0
    while [ -h "$script" ]; do
        target=$(readlink "$script")
        case $target in
        /*) script=$target ;;
        *) script=$(dirname "$script")/$target ;;
        esac
    done
    here=$(CDPATH='' cd "$(dirname "$script")" && pwd)
    checkout=
    if [ -n "${CERTGEN:-}" ]; then
        certgen=$CERTGEN
        case $certgen in
        */*) certgen=$(absolute "$certgen") ;;
        esac
        command -v "$certgen" >/dev/null 2>&1 || fail "no program \"$certgen\", which CERTGEN names"
        return
    fi
    for certgen in "$here/certgen" "$here/certgen.exe"; do
        if [ -f "$certgen" ] && [ -x "$certgen" ]; then
            return
        fi
    done
    certgen=certgen
    command -v certgen >/dev/null 2>&1 && return
    if grep -q '^module github.com/dpskit/dpskit$' "$here/../go.mod" 2>/dev/null &&
        command -v go >/dev/null 2>&1; then
        checkout=$here/..
        return
    fi
    fail 'the program certgen is neither beside this script nor in PATH' \
        'install it with: go install github.com/dpskit/dpskit/cmd/certgen@latest' \
        'or unpack a release and put certgen beside this script' \
        'or say where it is: CERTGEN=/some/where/certgen'
}

# certgen_do COMMAND ARGUMENT... runs certgen on the folder of the certificates. Its advice what
# to run next is left out: it does not know of this script.
certgen_do() {
    command=$1
    shift
    if [ -n "$checkout" ]; then
        told=$(go -C "$checkout" run ./cmd/certgen "$command" --dir "$PWD" "$@") || explain $?
    else
        told=$("$certgen" "$command" --dir . "$@") || explain $?
    fi
    printf '%s\n' "$told" | sed '/^next: /d'
}

# explain CODE ends with the exit code of certgen, which knows nothing of the settings here.
explain() {
    if [ "$1" -eq 4 ]; then
        printf 'certGen.sh: hint: the pass phrase comes from %s; without it, it is 1234\n' "$source" >&2
    fi
    exit "$1"
}

# need_ca NAME FILE says how to make the CAs where there are none.
need_ca() {
    [ ! -f "$2" ] || return 0
    printf 'certGen.sh: error: there is no %s CA in "%s"\n' "$1" "$PWD" >&2
    printf 'certGen.sh: hint: make the CAs first: %s create_root_and_intermediate\n' "$0" >&2
    exit 3
}

# check_password CA FILE fails, before anything is written, if the key does not open.
check_password() {
    [ -f "$2" ] || return 0
    ca_password "$1"
    if [ -n "$checkout" ]; then
        go -C "$checkout" run ./cmd/certgen inspect --quiet "$PWD/$2" || explain $?
    else
        "$certgen" inspect --quiet "$2" || explain $?
    fi
}

# ca_password CA hands the pass phrase of the CA's key to certgen.
ca_password() {
    case $1 in
    root) CERTGEN_CA_PASSWORD=$root_password source='the variable ROOT_CA_PASSWORD' ;;
    *) CERTGEN_CA_PASSWORD=$intermediate_password source='the variable INTERMEDIATE_CA_PASSWORD' ;;
    esac
    export CERTGEN_CA_PASSWORD
}

# signed_by CA COMMAND NAME FLAG... has a certificate made and signed.
signed_by() {
    ca=$1 kind=$2 subject=$3
    shift 3
    case $ca in
    root) need_ca root "$root_file" ;;
    *) need_ca intermediate "$intermediate_file" ;;
    esac
    ca_password "$ca"
    # Only asked-for days are passed on: certgen remarks when a signer has less left.
    [ -z "${DEFAULT_VALIDITY_DAYS:-}" ] || set -- --days "$days" "$@"
    certgen_do "$kind" --ca "$ca" --key-type "$key_type" \
        --pfx --pfx-profile "$pfx_profile" --force "$@" -- "$subject"
}

# make_cas FLAG... makes the root, or takes one, and the intermediate in one change: there are
# both or, after an error or an interrupt, those of before.
make_cas() {
    replaced=
    [ ! -e "$root_file" ] || replaced=yes
    CERTGEN_KEY_PASSWORD=$root_password
    CERTGEN_INTERMEDIATE_KEY_PASSWORD=$intermediate_password
    export CERTGEN_KEY_PASSWORD CERTGEN_INTERMEDIATE_KEY_PASSWORD
    certgen_do init --intermediate-cn "$intermediate_cn" --key-type "$key_type" --days "$days" \
        --pfx --pfx-profile "$pfx_profile" --force "$@"
    [ -z "$replaced" ] || say 'The certificates of before are in the folder replaced.'
}

create_root() {
    say 'Making the root CA and the intermediate CA'
    make_cas --root-cn "$root_cn"
}

# install_root CERTIFICATE KEY [PASSWORD]
install_root() {
    CERTGEN_CA_PASSWORD=${3:-$root_password} source='the argument PASSWORD or the variable ROOT_CA_PASSWORD'
    export CERTGEN_CA_PASSWORD
    # Another pass phrase than the one given is for the owner of the CA to choose.
    if [ -n "${3:-}" ] && [ -z "${ROOT_CA_PASSWORD:-}" ]; then
        root_password=$3
    fi
    say 'Taking the root CA and making the intermediate CA'
    make_cas --ca-cert "$1" --ca-key "$2"
    if [ "$root_password" != "${ROOT_CA_PASSWORD:-1234}" ]; then
        printf '%s\n' 'certGen.sh: hint: the key of the root keeps its password: for verbs that sign with the root,' \
            'certGen.sh: hint: run first: export ROOT_CA_PASSWORD=...' >&2
    fi
}

# install_root_texts CERTIFICATE KEY PASSWORD
install_root_texts() {
    scratch=$(umask 077 && mktemp -d "${TMPDIR:-/tmp}/certgen.XXXXXX")
    trap 'rm -rf "$scratch"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    (umask 077 && printf '%s\n' "$1" >"$scratch/ca.pem" && printf '%s\n' "$2" >"$scratch/key.pem")
    install_root "$scratch/ca.pem" "$scratch/key.pem" "$3"
}

create_verification() {
    case $copy in
    azure-iot-sdk-c) set -- "$1" --name verification-code ;;
    iotedge) set -- "$1" --name iot-device-verification-code ;;
    *) set -- "$1" --name verification-code --name iot-device-verification-code ;;
    esac
    signed_by root verification "$@"
}

create_device() {
    need_ca root "$root_file"
    need_ca intermediate "$intermediate_file"
    if [ "$copy" = both ]; then # two certificates or none
        check_password root private/azure-iot-test-only.root.ca.key.pem
        check_password intermediate private/azure-iot-test-only.intermediate.key.pem
    fi
    # The name of the device first: it may be one that differs only by case from another.
    if [ "$copy" != azure-iot-sdk-c ]; then
        signed_by intermediate device "$1" --name "iot-device-$1"
    fi
    if [ "$copy" != iotedge ]; then
        signed_by root device "$1" --name new-device
    fi
}

create_device_from_intermediate() {
    case $copy in
    azure-iot-sdk-c) signed_by intermediate device "$1" --name new-device ;;
    iotedge) signed_by intermediate device "$1" --name "iot-device-$1" ;;
    *) signed_by intermediate device "$1" --name "iot-device-$1" --name new-device ;;
    esac
}

create_edge_device() {
    case $copy in
    azure-iot-sdk-c) signed_by intermediate edge-ca "$1" --name new-edge-device ;;
    iotedge) signed_by intermediate edge-ca "$1" --name "iot-edge-device-$1" ;;
    *) signed_by intermediate edge-ca "$1" --name "iot-edge-device-$1" --name new-edge-device ;;
    esac
}

warn() {
    [ "${FORCE_NO_PROD_WARNING:-false}" != true ] || return 0
    cat >&2 <<WARNING
certGen.sh: warning: these certificates are for tests, not for production. They expire
in $days days, and the passwords of their files are known to everybody (1234) unless
you set others.
WARNING
}

verb=${1:-}
case $verb in
-h | --help | help)
    usage
    exit 0
    ;;
'')
    usage
    exit 1
    ;;
esac
shift

copy=${CERTGEN_COPY:-both}
case $copy in
both | azure-iot-sdk-c | iotedge) ;;
*) fail "unknown CERTGEN_COPY \"$copy\"" 'choose both, azure-iot-sdk-c or iotedge' ;;
esac

root_cn='Azure IoT Hub CA Cert Test Only'
intermediate_cn='Azure IoT Hub Intermediate Cert Test Only'
if [ "$copy" = iotedge ]; then
    root_cn=Azure_IoT_Hub_CA_Cert_Test_Only
    intermediate_cn=Azure_IoT_Hub_Intermediate_Cert_Test_Only
fi

case $verb in
create_root_and_intermediate)
    take 0 'no argument' "$@"
    run() { create_root; }
    ;;
create_verification_certificate)
    take 1 'the verification code' "$@"
    run() { create_verification "$1"; }
    ;;
create_device_certificate)
    take 1 'the name of the device' "$@"
    run() { create_device "$1"; }
    ;;
create_device_certificate_from_intermediate)
    take 1 'the name of the device' "$@"
    run() { create_device_from_intermediate "$1"; }
    ;;
create_edge_device_certificate)
    take 1 'the name of the device' "$@"
    run() { create_edge_device "$1"; }
    ;;
create_edge_device_ca_certificate)
    take 1 'the name of the CA' "$@"
    run() { signed_by intermediate edge-ca "$1" --name "iot-edge-device-ca-$1"; }
    ;;
create_edge_device_identity_certificate)
    take 1 'the name of the device' "$@"
    run() { signed_by intermediate edge-identity "$1" --name "iot-edge-device-identity-$1"; }
    ;;
create_edge_server_certificate)
    take 1 'the name of the host' "$@"
    run() { signed_by intermediate server "$1" --name "iot-edge-server-$1"; }
    ;;
install_root_ca_from_files | install_root_ca_from_cli)
    [ $# -eq 3 ] || take 2 'a certificate, a key and perhaps a password' "$@"
    if [ "$verb" = install_root_ca_from_files ]; then
        set -- "$(absolute "$1")" "$(absolute "$2")" "${3:-}"
        run() { install_root "$1" "$2" "$3"; }
    else
        run() { install_root_texts "$1" "$2" "${3:-}"; }
    fi
    ;;
*)
    usage
    fail "unknown verb \"$verb\""
    ;;
esac

find_certgen
if [ -n "${CERTIFICATE_OUTPUT_DIR:-}" ]; then
    mkdir -p "$CERTIFICATE_OUTPUT_DIR"
    cd "$CERTIFICATE_OUTPUT_DIR"
fi
run "$@"
warn
