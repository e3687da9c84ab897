//! Which log lines are kept: a level for all, and levels for components alone.

use tracing::level_filters::LevelFilter;

/// The names that operators use, and the targets that they stand for.
const COMPONENTS: [(&str, &str); 20] = [
    ("cli", "stream_manager::cli"),
    ("config", "stream_manager::config"),
    ("control", "stream_manager::control"),
    ("fleet", "stream_manager::fleet"),
    ("ingest", "stream_manager::ingest"),
    ("inputs", "stream_manager::inputs"),
    ("live", "stream_manager::live"),
    ("ports", "stream_manager::ports"),
    ("prepare", "stream_manager::prepare"),
    ("rtmp", "stream_manager::rtmp"),
    ("scene", "stream_manager::scene"),
    ("server", "stream_manager::server"),
    ("store", "stream_manager::store"),
    ("streaming", "stream_manager::streaming"),
    ("tick_loop", "stream_manager::tick_loop"),
    ("systems", "stream_manager_systems"),
    ("raster", "stream_manager_raster"),
    ("text", "stream_manager_text"),
    ("codec", "stream_manager_codec"),
    ("ffmpeg", "ffmpeg"),
];
const LEVELS: [(&str, LevelFilter); 6] = [
    ("off", LevelFilter::OFF),
    ("error", LevelFilter::ERROR),
    ("warn", LevelFilter::WARN),
    ("info", LevelFilter::INFO),
    ("debug", LevelFilter::DEBUG),
    ("trace", LevelFilter::TRACE),
];

/// Levels such as `info,streaming=debug`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLevels {
    /// For everything that is not named.
    pub base: LevelFilter,
    /// For the components that are named, in the order given; `.0` is a name of this program's, not a target.
    pub components: Vec<(&'static str, LevelFilter)>,
}

impl LogLevels {
    /// The names of the components.
    pub fn component_names() -> impl Iterator<Item = &'static str> {
        COMPONENTS.iter().map(|(name, _)| *name)
    }

    /// The same in the form that `tracing_subscriber`'s filters read: `info,stream_manager::streaming=debug`.
    #[must_use]
    pub fn directives(&self) -> String {
        let named = self.components.iter().filter_map(|(name, level)| {
            let (_, target) = COMPONENTS.iter().find(|(other, _)| other == name)?;
            Some(format!("{target}={level}"))
        });
        std::iter::once(self.base.to_string())
            .chain(named)
            .collect::<Vec<_>>()
            .join(",")
    }

    pub(super) fn allowed() -> String {
        let levels = LEVELS.map(|(name, _)| name).join(", ");
        let components = COMPONENTS.map(|(name, _)| name).join(", ");
        format!(
            "one of {levels}, and after commas a level for one component, such as info,streaming=debug, of: {components}"
        )
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut base = None;
        let mut components: Vec<(&'static str, LevelFilter)> = Vec::new();
        for part in text.split(',').map(str::trim) {
            match part.split_once('=') {
                Some((name, level)) => {
                    let name = name.trim().to_ascii_lowercase();
                    let (name, _) = COMPONENTS.iter().find(|(other, _)| *other == name)?;
                    if components.iter().any(|(other, _)| other == name) {
                        return None;
                    }
                    components.push((name, level_named(level.trim())?));
                }
                None if base.is_none() => base = Some(level_named(part)?),
                None => return None,
            }
        }
        Some(Self {
            base: base.unwrap_or(LevelFilter::INFO),
            components,
        })
    }
}

fn level_named(name: &str) -> Option<LevelFilter> {
    let (_, level) = LEVELS
        .iter()
        .find(|(other, _)| other.eq_ignore_ascii_case(name))?;
    Some(*level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_become_targets() {
        let levels = LogLevels::parse("warn, streaming=debug,ffmpeg=OFF").unwrap();
        assert_eq!(
            levels.directives(),
            "warn,stream_manager::streaming=debug,ffmpeg=off"
        );
        let levels = LogLevels::parse("codec=trace").unwrap();
        assert_eq!(levels.directives(), "info,stream_manager_codec=trace");
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for text in [
            "",
            "loud",
            "info,debug",
            "info,",
            "info,nobody=debug",
            "info,streaming=",
            "info,streaming=debug,streaming=warn",
        ] {
            assert_eq!(LogLevels::parse(text), None, "{text}");
        }
    }
}
