// SPDX-License-Identifier: MIT
#include "simulation/chart.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>

namespace lemonade::sim {

namespace {

constexpr double kWidth = 860, kHeight = 440;
constexpr double kLeft = 84, kRight = 640, kTop = 60, kBottom = 380;  // of what is drawn in
constexpr double kNines = 4;                                          // the last share is 99.99 %
constexpr int kPoints = 120;
constexpr double kLegendStep = 22;

/// Told apart by eyes that see few colours, too (Okabe and Ito).
constexpr std::array kColours = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                 "#e69f00", "#56b4e9", "#8c6d31", "#7f7f7f"};

constexpr const char* kStyle =
    "<style>text{font:13px sans-serif;fill:#222}.g{stroke:#ddd}.b{fill:#fff}path{fill:none;stroke-width:2}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}.g{stroke:#444}.b{fill:#181818}}</style>\n";

template <class... Values>
std::string format(const char* pattern, Values... values) {
  std::array<char, 256> text{};
  (void)std::snprintf(text.data(), text.size(), pattern, values...);
  return text.data();
}

std::string escaped(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    if (c == '&')
      safe += "&amp;";
    else if (c == '<')
      safe += "&lt;";
    else
      safe += c;
  }
  return safe;
}

std::string textAt(double x, double y, const char* anchor, const std::string& text) {
  return format("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor) + escaped(text) + "</text>\n";
}

/// Where a share of 1 - 10^-nines is.
double across(double nines) { return kLeft + (kRight - kLeft) * nines / kNines; }

/// Times from `least` to `most`, each step of the height the same multiple.
struct Heights {
  double least = 0;
  double most = 0;

  double of(double ms) const {
    const double part = (std::log10(ms) - std::log10(least)) / (std::log10(most) - std::log10(least));
    return kBottom - (kBottom - kTop) * std::clamp(part, 0.0, 1.0);
  }
};

/// Whole decades around everything that is drawn.
Heights heightsOf(std::vector<Curve>& curves) {
  double least = std::numeric_limits<double>::infinity(), most = 0;
  for (auto& curve : curves)
    for (int i = 0; i <= kPoints; ++i) {
      const double ms = curve.result.quantile(1 - std::pow(10, -kNines * i / kPoints));
      if (!std::isfinite(ms) || ms <= 0) continue;
      least = std::min(least, ms);
      most = std::max(most, ms);
    }
  if (most == 0) return {1, 10};
  return {std::pow(10, std::floor(std::log10(least))), std::pow(10, std::floor(std::log10(most)) + 1)};
}

std::string grid(const Heights& heights) {
  std::string lines;
  for (const auto& [nines, share] : std::initializer_list<std::pair<double, const char*>>{
           {0.30103, "50 %"}, {1, "90 %"}, {2, "99 %"}, {3, "99.9 %"}, {4, "99.99 %"}}) {
    lines += format("<line class=\"g\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.0f\" y2=\"%.0f\"/>\n", across(nines),
                    across(nines), kTop, kBottom);
    lines += textAt(across(nines), kBottom + 18, "middle", share);
  }
  for (double ms = heights.least; ms <= heights.most * 1.001; ms *= 10) {
    lines += format("<line class=\"g\" x1=\"%.0f\" x2=\"%.0f\" y1=\"%.1f\" y2=\"%.1f\"/>\n", kLeft, kRight,
                    heights.of(ms), heights.of(ms));
    lines += textAt(kLeft - 8, heights.of(ms) + 4, "end", format("%g ms", ms));
  }
  return lines + textAt((kLeft + kRight) / 2, kBottom + 42, "middle", "share of the requests that took no longer");
}

std::string line(Curve& curve, const char* colour, const Heights& heights) {
  std::string path;
  for (int i = 0; i <= kPoints; ++i) {
    const double nines = kNines * i / kPoints;
    const double ms = curve.result.quantile(1 - std::pow(10, -nines));
    if (!std::isfinite(ms)) break;
    path += format("%s%.1f,%.1f", path.empty() ? "M" : "L", across(nines), heights.of(ms));
  }
  return path.empty() ? "" : format("<path stroke=\"%s\" d=\"", colour) + path + "\"/>\n";
}

}  // namespace

std::string chart(const std::string& title, std::vector<Curve> curves) {
  std::string svg =
      format("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" height=\"%.0f\">\n",
             kWidth, kHeight, kWidth, kHeight);
  svg += kStyle;
  svg += "<rect class=\"b\" width=\"100%\" height=\"100%\"/>\n" + textAt(kLeft, 30, "start", title);
  const Heights heights = heightsOf(curves);
  svg += grid(heights);
  for (std::size_t i = 0; i < curves.size(); ++i) {
    const char* colour = kColours[i % kColours.size()];
    const double y = kTop + 10 + kLegendStep * static_cast<double>(i);
    svg += line(curves[i], colour, heights);
    svg += format("<path stroke=\"%s\" d=\"M%.0f,%.1fh20\"/>\n", colour, kRight + 20, y);
    svg += textAt(kRight + 48, y + 4, "start", curves[i].name);
  }
  return svg + "</svg>\n";
}

}  // namespace lemonade::sim
