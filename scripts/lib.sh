# Shared by the set-up scripts; sourced, never run. Nothing here upgrades the system.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
CACHE="$ROOT/.cache"

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }
is_root() { [ "$(id -u)" = 0 ]; }
has() { command -v "$1" >/dev/null 2>&1; }

# until_true SECONDS COMMAND…: poll ten times a second; fail when the time is over.
until_true() {
    local tries=$(($1 * 10))
    shift
    while ! "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.1
    done
}

# need_packages COMMAND=PACKAGE…: install by apt the packages whose command is missing.
need_packages() {
    local pair missing=()
    for pair in "$@"; do
        has "${pair%%=*}" || missing+=("${pair#*=}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    is_root && has apt-get ||
        die "missing: ${missing[*]}; they are installed only as root and by apt-get: install them, then try again"
    say "installing ${missing[*]}"
    apt_get update || die "apt-get update failed; see $CACHE/apt.log"
    apt_get install --yes --no-install-recommends "${missing[@]}" ||
        die "could not install ${missing[*]}; see $CACHE/apt.log"
}

# apt_get ARGUMENT…: the system's apt, asking nothing; its words go to .cache/apt.log.
apt_get() {
    mkdir -p "$CACHE"
    # Without systemd a package's start script would start a daemon that nobody watches: in
    # run level 1 invoke-rc.d (Debian policy 9.3.3) starts none.
    local level=()
    [ -d /run/systemd/system ] || level=(RUNLEVEL=1)
    env DEBIAN_FRONTEND=noninteractive "${level[@]}" apt-get -qq "$@" </dev/null >>"$CACHE/apt.log" 2>&1
}

# debian_mirror: the Debian archive this machine already uses, or DEBIAN_MIRROR.
debian_mirror() {
    local found
    found=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        grep -m1 -E '/debian/?$' || true)}
    [ -n "$found" ] || die "apt's sources name no Debian mirror; name one with DEBIAN_MIRROR=URL"
    printf '%s\n' "$found"
}

# debian_download SUITE FOLDER PACKAGE…: fetch .deb files of another Debian release with
# sources and state of their own, checked with Debian's keyring.
debian_download() {
    local suite=$1 folder=$2 keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    shift 2
    [ -r "$keyring" ] || die "$keyring is missing: install the package debian-archive-keyring"
    rm -rf "$folder"
    mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial"
    : >"$folder/status"
    printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$(debian_mirror)" "$suite" >"$folder/sources.list"
    local apt=(apt-get -qq -o Dir::Etc::SourceList="$folder/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o Dir::State="$folder" -o Dir::State::Lists="$folder/lists" -o Dir::State::Status="$folder/status"
        -o Dir::Cache="$folder/cache" -o APT::Sandbox::User="$(id -un)" -o Debug::NoLocking=1
        -o Acquire::Languages=none -o Acquire::Retries=3)
    (cd "$folder" && "${apt[@]}" update && "${apt[@]}" download "$@") >>"$CACHE/apt.log" 2>&1 ||
        die "could not fetch $* of Debian $suite; see $CACHE/apt.log"
}
