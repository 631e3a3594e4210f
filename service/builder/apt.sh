# Installs Debian packages and says what that changed. Runs as root in a container of the base image.
#
# Arguments: the packages, each with "=version" where one is asked for. What programs print is the log. On stdout, each
# after a line {"size": n}: what apt would do; then, if the answer on stdin is "go", all files of the system before and
# after it did so. The names of those that are wanted follow on stdin, each ended by a zero byte; they come as a tar.
set -eu
exec 3>&1 1>&2

FOLDER=/opt/meadow
NO_APT=90
TROUBLE=91

send() {
  printf '{"size":%s}\n' "$(wc -c <"$1")" >&3
  cat "$1" >&3
}

# Type, mode, owner, size, time of the last change and path of everything that belongs to the image.
listing() {
  find / -xdev -path "$FOLDER" -prune -o -printf '%y %m %U %G %s %C@ %p\0' >"$1"
}

apt_get() {
  apt-get -q -o Dpkg::Use-Pty=0 -o APT::Sandbox::User=root -o APT::Install-Recommends=false \
    -o APT::Cmd::Pattern-Only=true -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
    -o Acquire::Retries=3 -o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30 \
    ${SSL_CERT_FILE:+-o "Acquire::https::CaInfo=$SSL_CERT_FILE"} "$@" </dev/null
}

command -v apt-get >/dev/null || exit "$NO_APT"
mkdir -p "$FOLDER"
# What can't be fetched is worth another try; what does not exist is not.
apt_get -o APT::Update::Error-Mode=any update || exit "$TROUBLE"
apt_get install --simulate -- "$@" >"$FOLDER/plan" || { cat "$FOLDER/plan"; exit 1; }
send "$FOLDER/plan"

read -r answer
[ "$answer" = go ] || exit 0
listing "$FOLDER/before"
apt_get install -y --download-only -- "$@" || exit "$TROUBLE"
apt_get install -y --no-download -- "$@"
listing "$FOLDER/after"
send "$FOLDER/before"
send "$FOLDER/after"
tar -C / --null --verbatim-files-from --no-recursion --hard-dereference --numeric-owner --format=posix \
  --pax-option=delete=atime,delete=ctime,delete=mtime -cf "$FOLDER/files.tar" -T -
send "$FOLDER/files.tar"
