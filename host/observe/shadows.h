// SPDX-License-Identifier: MIT
//
// Comparisons of shadows as documents and as metrics. Any thread.
#pragma once

#include "metrics/snapshot.h"
#include "observe/comparison.h"
#include "observe/json_writer.h"

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace lemonade {

/// The body of /api/v1/shadows.
std::string shadowsJson(const std::vector<ShadowStatus>& shadows);

/// "shadow" of a pool in the status: null where there is none. Without the backends.
void setShadow(Json& json, const std::optional<ShadowStatus>& shadow);

void addShadows(metrics::SnapshotBuilder& builder, std::span<const ShadowStatus> shadows);

}  // namespace lemonade
