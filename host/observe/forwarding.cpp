// SPDX-License-Identifier: MIT
#include "observe/forwarding.h"

#include "observe/families.h"

namespace lemonade {

namespace {

double asNumber(std::uint64_t number) noexcept { return static_cast<double>(number); }

void addForwardedListener(metrics::SnapshotBuilder& builder, const ListenerFacts& listener) {
  builder
      .counter("lemonade_kernel_unasked_total",
               "Client connections that the kernel's table forwarded by its weights, because nobody could be asked.")
      .add(builder.labels({{"listener", listener.name}}), asNumber(listener.counters.unasked.value()));
  builder
      .counter("lemonade_kernel_first_packets_dropped_total",
               "First packets that were dropped for want of room, whose clients send them again, by reason.")
      .add(builder.labels({{"listener", listener.name}, {"reason", "listener_full"}}),
           asNumber(listener.counters.dropped_full.value()))
      .add(builder.labels({{"listener", listener.name}, {"reason", "queue_full"}}),
           asNumber(listener.counters.dropped_queued.value()));
}

void addQueueOfPackets(metrics::SnapshotBuilder& builder, const ForwardingStatus::Queue& packets) {
  builder.gauge("lemonade_kernel_queue_packets", "First packets that wait in the kernel's queue to be decided on.")
      .add(asNumber(packets.waiting));
  builder
      .counter("lemonade_kernel_queue_dropped_total",
               "First packets that the kernel dropped at its queue since it was opened, by reason.")
      .add(builder.labels({{"reason", "full"}}), asNumber(packets.full))
      .add(builder.labels({{"reason", "unreceived"}}), asNumber(packets.unreceived));
}

}  // namespace

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

void addForwarding(metrics::SnapshotBuilder& builder, const ForwardingStatus& status,
                   std::span<const ListenerFacts> listeners) {
  builder
      .gauge("lemonade_kernel_table_up_to_date",
             "1 where the table by which the kernel forwards says what listeners and pools say.")
      .add(status.up_to_date ? 1 : 0);
  builder.gauge("lemonade_kernel_asks", "1 while the kernel asks about first packets, 0 while it goes by weights.")
      .add(status.asks ? 1 : 0);
  builder
      .counter("lemonade_kernel_event_losses_total",
               "How often the kernel had events of connections that could not be taken in time.")
      .add(asNumber(status.event_losses));
  for (const auto& listener : listeners)
    if (listener.by_kernel) addForwardedListener(builder, listener);
  if (status.packets) addQueueOfPackets(builder, *status.packets);
  if (!status.conntrack) return;
  builder.gauge("lemonade_kernel_conntrack_entries", "Connections that the kernel's connection tracking knows.")
      .add(asNumber(status.conntrack->entries));
  builder.gauge("lemonade_kernel_conntrack_limit", "How many it may know.").add(asNumber(status.conntrack->most));
}

}  // namespace lemonade
