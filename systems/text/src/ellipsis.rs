//! Lines that end in `…` because there is more than is shown.

use components::source::Align;
use parley::{BaseDirection, Layout, Line, OverflowWrap};

use crate::layout::{EPSILON_PX, Extent, Typesetter, break_lines};
use crate::style::Joined;

const ELLIPSIS: &str = "…";

/// Clusters beyond the estimated cut that are still tried, for letters that take less room together than alone.
const CLUSTERS_PAST_ESTIMATE: usize = 8;

/// The line again, cut after as many clusters as leave room for the ellipsis in `width_max` layer pixels.
///
/// The cut never parts a cluster, and no white space stands before the ellipsis. The line keeps the direction of its text, so the
/// ellipsis stands at the left of right-to-left text. When there is no room for anything else, the ellipsis stands alone.
pub(crate) fn shorten(
    typesetter: &mut Typesetter<'_>,
    words: &str,
    line: &Line<'_, Joined>,
    is_rtl: bool,
    width_max: Option<f32>,
    font_size: f32,
) -> Option<Layout<Joined>> {
    let range = line.text_range();
    let text = words.get(range.clone())?.trim_end();
    let cuts = cuts(line, range.start, text.len(), width_max);
    let direction = if is_rtl {
        BaseDirection::Rtl
    } else {
        BaseDirection::Ltr
    };
    let spacing = typesetter.style.letter_spacing;
    let mut candidate = |cut: usize| -> (Layout<Joined>, bool) {
        let short = text.get(..cut).unwrap_or_default().trim_end();
        let short = format!("{short}{ELLIPSIS}");
        let mut layout = typesetter.shape(&short, font_size, OverflowWrap::Normal, direction);
        break_lines(&mut layout, None, Align::Start);
        let width = layout
            .get(0)
            .map_or(0.0, |line| Extent::of(&line, is_rtl, spacing).width);
        let fits = width_max.is_none_or(|max| width <= max + EPSILON_PX);
        (layout, fits)
    };

    // `cuts[low]` is known to fit, `cuts[high]` not; the first is 0 and is taken even if it does not.
    let (mut low, mut high) = (0, cuts.len());
    let mut best = None;
    // The estimate is most often right, or next to it.
    let mut next = high.saturating_sub(CLUSTERS_PAST_ESTIMATE + 1).max(1);
    while low + 1 < high {
        let middle = next.clamp(low + 1, high - 1);
        let (layout, fits) = candidate(cuts[middle]);
        if fits {
            low = middle;
            best = Some(layout);
        } else {
            high = middle;
        }
        next = low + (high - low) / 2;
    }
    Some(best.unwrap_or_else(|| candidate(0).0))
}

/// The places in the line's text, in bytes, at which it may be cut: 0, and the end of every cluster up to where the letters alone
/// are wider than `width_max`.
fn cuts(line: &Line<'_, Joined>, start: usize, len: usize, width_max: Option<f32>) -> Vec<usize> {
    let mut ends: Vec<(usize, f32)> = line
        .runs()
        .flat_map(|run| {
            run.clusters()
                .map(|cluster| (cluster.text_range().end, cluster.advance()))
        })
        .map(|(end, advance)| (end.saturating_sub(start), advance))
        .filter(|(end, _)| *end <= len)
        .collect();
    ends.sort_by_key(|(end, _)| *end);
    let mut cuts = vec![0];
    let mut advance = 0.0;
    let mut past = 0;
    for (end, cluster_advance) in ends {
        advance += cluster_advance;
        if width_max.is_some_and(|max| advance > max) {
            past += 1;
        }
        cuts.push(end);
        if past > CLUSTERS_PAST_ESTIMATE {
            break;
        }
    }
    cuts
}
