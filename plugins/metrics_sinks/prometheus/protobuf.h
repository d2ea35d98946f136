// SPDX-License-Identifier: MIT
//
// The exposition format of Prometheus that can carry native histograms: a MetricFamily of io.prometheus.client
// (prometheus/client_model) for each family, in protobuf, each preceded by its length.
#pragma once

#include <lemonade/sdk/metrics_sink.hpp>

#include <string>
#include <string_view>

namespace prometheus {

inline constexpr std::string_view kProtobufType =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

/// True where a reader that sent this Accept header would rather have that than text.
bool prefersProtobuf(std::string_view accept);

/// Appends a family. Histograms have the buckets of the text, and native ones besides: schema 5, in which a bucket is
/// 2.2 % wide. A bucket of the host, which is up to a third wide, is one native bucket, the one around its middle
/// (geometric), so that what is asked of them is true to 18 %; samples of the first, up to its upper end, are those of
/// the zero bucket.
void appendFamily(std::string& out, const lemonade::sdk::Family& family);

}  // namespace prometheus
