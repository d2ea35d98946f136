#!/bin/sh
# SPDX-License-Identifier: MIT
# packet_seeds.sh FOLDER: writes packets that begin connections into the folder, one a file.
set -eu
tcp='\234\100\043\050\001\001\001\001\000\000\000\000\120\002\377\377\000\000\000\000'
tcp_options='\234\100\043\050\001\001\001\001\000\000\000\000\140\002\377\377\000\000\000\000\002\004\005\264'
hosts4='\012\000\000\001\012\000\000\002'
host6='\040\001\015\270\000\000\000\000\000\000\000\000\000\000\000\001'

mkdir -p "$1"
printf '\105\000\000\050\000\001\100\000\100\006\000\000'"$hosts4$tcp" >"$1/ipv4"
printf '\106\000\000\060\000\001\100\000\100\006\000\000'"$hosts4"'\224\004\000\000'"$tcp_options" >"$1/ipv4_options"
printf '\140\000\000\000\000\024\006\100'"$host6$host6$tcp" >"$1/ipv6"
hop_by_hop='\074\000\005\002\000\000\001\000'
destination='\006\000\001\004\000\000\000\000'
printf '\140\000\000\000\000\050\000\100'"$host6$host6$hop_by_hop$destination$tcp_options" >"$1/ipv6_extensions"
