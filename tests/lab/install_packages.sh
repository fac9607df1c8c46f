#!/bin/sh
# Installs Debian packages over a root file system; what they add ends up in UPPER.  Run it in a mount namespace of its
# own, with which every mount made here goes away.
#   install_packages.sh LOWER UPPER WORK ROOT PACKAGE...
set -eu
lower=$1 upper=$2 work=$3 root=$4
shift 4
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$upper,workdir=$work" "$root"
mount -t proc proc "$root/proc"
for folder in run tmp var/cache/apt; do
    mount -t tmpfs tmpfs "$root/$folder"
done
# Without its manual's folder the Java package does not configure itself.
mkdir -p "$root/usr/share/man/man1"
# apt as this machine has it: same mirrors, same keys, and its lists need no second download.
mount --bind /etc/apt "$root/etc/apt"
mount --bind /var/lib/apt/lists "$root/var/lib/apt/lists"
mount --bind /etc/resolv.conf "$root/etc/resolv.conf"
DEBIAN_FRONTEND=noninteractive chroot "$root" \
    apt-get install -y -q --no-install-recommends -o APT::Sandbox::User=root "$@"
# Packages bring folders for their logs, which have to stay; what this installation logged is nobody's.
find "$root/var/log" -type f -delete
