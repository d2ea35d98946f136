// SPDX-License-Identifier: MIT
#include "balance/dns_status.h"

#include <ares.h>

namespace lemonade {

bool saysNo(int status) { return status == ARES_ENOTFOUND || status == ARES_ENODATA || status == ARES_EBADNAME; }

std::string wordsOf(int status, const std::string& servers, const char* record) {
  switch (status) {
    case ARES_ENOTFOUND:
      return "there is no such name";
    case ARES_ENODATA:
      return std::string("the name has no ") + record;
    case ARES_EBADNAME:
      return "it is no valid name";
    case ARES_ETIMEOUT:
      return "no name server answers (" + servers + ")";
    case ARES_ECONNREFUSED:  // also what the library makes of SERVFAIL and REFUSED
      return "no name server could answer (" + servers + "): it failed, refused, or cannot be reached";
    case ARES_EBADRESP:
    case ARES_EFORMERR:
      return "the name server's answer makes no sense (" + servers + ")";
    case ARES_EFILE:
      return "for want of descriptors, or /etc/resolv.conf cannot be read";
    default:
      return ares_strerror(status);
  }
}

Resolution failure(Resolution::Outcome outcome, const std::string& name, const std::string& why) {
  return {outcome, {}, "name \"" + name + "\" does not resolve: " + why, {}};
}

}  // namespace lemonade
