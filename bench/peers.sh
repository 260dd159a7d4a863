#!/bin/sh
# bench/peers.sh DIR: installs what can be installed of the programs compared
# with. DIR gets the peers that are no Debian package: BusyBox's runit applets,
# built statically from Debian's source, and pm2. What does not work is left
# out, and stands in the results as not available.
set -u
dir=$1
mkdir -p "$dir"
cd "$dir" || exit 1
log=$dir/peers.log
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null && [ ! -e asked ]; then
  for p in runit s6 daemontools tini dumb-init supervisor dinit strace; do
    dpkg -s "$p" >/dev/null 2>&1 || DEBIAN_FRONTEND=noninteractive timeout 300 apt-get install -qq -y --no-install-recommends "$p" </dev/null >>"$log" 2>&1 ||
      echo "not available: $p"
  done
  touch asked
fi
if [ ! -x busybox/busybox ] && command -v apt-get >/dev/null && command -v gcc >/dev/null; then
  mkdir -p src lists/partial
  for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.sources; do
    [ -e "$f" ] && sed 's/^Types: deb$/Types: deb-src/; s/^deb /deb-src /' "$f" >src/apt."${f##*.}"
  done
  from=src/apt.list
  [ -s src/apt.sources ] && from=src/apt.sources
  apt="apt-get -qq -o Dir::Etc::sourcelist=$dir/$from -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists=$dir/lists"
  # At its smallest and quickest: with musl, which Debian has without the kernel's headers.
  musl="musl-gcc -idirafter /usr/include -idirafter /usr/include/$(gcc -print-multiarch)"
  (cd src && { [ -e busybox_*.orig.tar.bz2 ] 2>/dev/null || { $apt update && $apt source --download-only busybox; }; } &&
    mkdir -p tree && tar xjf busybox_*.orig.tar.bz2 -C tree --strip-components 1 && cd tree && make -s allnoconfig &&
    for o in STATIC RUNSV RUNSVDIR SV SVLOGD CHPST ENVDIR SETUIDGID TRUE LONG_OPTS LFS; do
      sed -i "s/^# CONFIG_$o is not set/CONFIG_$o=y/" .config
    done && { yes '' | make -s oldconfig >/dev/null; make -s -j2 CC="$musl" busybox || make -s -j2 busybox; } && mkdir -p "$dir/busybox" &&
    cp busybox "$dir/busybox/" && cd "$dir/busybox" && for a in runsv runsvdir sv svlogd chpst envdir setuidgid; do ln -sf busybox $a; done
  ) </dev/null >>"$log" 2>&1 || echo "not available: busybox applets"
  rm -rf src lists
fi
if [ ! -x node_modules/.bin/pm2 ] && command -v npm >/dev/null; then
  timeout 240 npm install --prefix "$dir" --no-fund --no-audit --ignore-scripts pm2 </dev/null >>"$log" 2>&1 || echo "not available: pm2"
fi
exit 0
