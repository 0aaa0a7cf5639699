# shellcheck shell=bash
# What ./quickstart and ./check share; sourced by them in the root of the repository.

# The packages of the named sections of tools/packages.txt.
packages_of() {
  local section
  for section in "$@"; do
    sed -n "/^\[$section\]/,/^\[/{/^[a-z]/p}" tools/packages.txt
  done
}

# Those of them that are not installed.
missing_packages() {
  local package
  packages_of "$@" | while read -r package; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
      echo "$package"
  done
}

# Runs a command as root, or says why it cannot.
as_root() {
  if [[ $(id -u) == 0 ]]; then
    env DEBIAN_FRONTEND=noninteractive "$@"
  else
    sudo env DEBIAN_FRONTEND=noninteractive "$@"
  fi
}

# Fails, with a sentence, where packages cannot be installed.
can_install() {
  if ! command -v apt-get >/dev/null; then
    echo "There is no apt-get here: install what Debian 12 calls $*, then try again." >&2
    return 1
  fi
  [[ $(id -u) == 0 ]] && return 0
  if ! command -v sudo >/dev/null; then
    echo "As root, run: apt-get install $*; then try again." >&2
    return 1
  fi
  sudo -v -p "The packages are installed with sudo; your password: "
}

install_packages() {
  # First what an interrupted installation left half done.
  as_root dpkg --configure -a &&
    as_root apt-get update -q &&
    as_root apt-get install -y -q --no-install-recommends \
      -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@"
}

# How many compilers may run at once: one a core, and 1.5 GB of memory for each.
build_jobs() {
  local cores memory
  cores=$(nproc)
  memory=$(awk '/^MemAvailable/ { print int($2 / 1500000) }' /proc/meminfo)
  echo $((memory < 1 ? 1 : memory < cores ? memory : cores))
}

# For: command 2>&1 | show_progress LOG. Keeps all lines in LOG; a terminal sees the last one.
show_progress() {
  local line log=$1
  while IFS= read -r line || [[ -n $line ]]; do
    printf '%s\n' "$line" >>"$log"
    [[ -t 1 ]] && printf '\r\033[K  %.70s' "$line"
  done
  [[ -t 1 ]] && printf '\r\033[K'
  return 0
}
