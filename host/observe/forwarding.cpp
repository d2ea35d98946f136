// SPDX-License-Identifier: MIT
#include "observe/forwarding.h"

namespace lemonade {

void setForwarding(Json& json, const std::optional<ForwardingStatus>& status) {
  if (!status) return json.setNull("kernel");
  json.object("kernel", [&] {
    setText(json, "table", status->table);
    json.set("queue", status->queue);
    json.set("tag", status->tag);
    json.set("up_to_date", status->up_to_date);
    json.set("asks", status->asks);
    json.set("unasked", status->unasked);
    json.set("event_losses", status->event_losses);
    status->packets ? json.set("waiting", status->packets->waiting) : json.setNull("waiting");
    if (!status->conntrack) return json.setNull("conntrack");
    json.object("conntrack", [&] {
      json.set("entries", status->conntrack->entries);
      json.set("limit", status->conntrack->most);
    });
  });
}

}  // namespace lemonade
