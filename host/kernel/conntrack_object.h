// SPDX-License-Identifier: MIT
//
// Owned objects of libnetfilter_conntrack, whose own copies of the kernel's headers are older than these: they go by
// the same guards, and come too late.
#pragma once

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include <libnetfilter_conntrack/libnetfilter_conntrack.h>

#include <memory>

namespace lemonade::kernel {

struct DestroyConntrack {
  void operator()(nf_conntrack* object) const noexcept { nfct_destroy(object); }
  void operator()(nfct_filter_dump* filter) const noexcept { nfct_filter_dump_destroy(filter); }
};

/// Null where there was no memory.
using ConntrackObject = std::unique_ptr<nf_conntrack, DestroyConntrack>;
using DumpFilter = std::unique_ptr<nfct_filter_dump, DestroyConntrack>;

}  // namespace lemonade::kernel
