#!/bin/sh
# SPDX-License-Identifier: MIT
# proxy_header_seeds.sh FOLDER: writes headers of version 2 of the PROXY protocol into the folder, one a file.
set -eu
signature='\r\n\r\n\000\r\nQUIT\n'
addresses='\012\000\000\001\012\000\000\002\037\220\000\120'
host6='\040\001\015\270\000\000\000\000\000\000\000\000\000\000\000\001'

mkdir -p "$1"
printf "$signature"'\041\021\000\023'"$addresses"'\004\000\004\000\000\000\000rest' >"$1/inet_with_tlv"
printf "$signature"'\041\041\000\044'"$host6$host6"'\037\220\000\120' >"$1/inet6"
printf "$signature"'\041\061\000\330%-108s\000%-107s' /run/client name | tr ' ' '\000' >"$1/unix"
printf "$signature"'\040\000\000\000' >"$1/local"
