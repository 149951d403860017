//! The stages of a rollout, as people write them: `5%`, `10% of shop/web`, `50% for 10m`, `50% by hand`.

use crate::fleet::Selection;
use crate::interval;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Stages of a rollout at most.
pub const STAGES_MAX: usize = 20;
/// How long nodes may take until they have a revision, unless told otherwise: a node that has lost its connection is back
/// within Envoy's longest pause between tries (30 s), and has taken a large mesh within as much again.
pub const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);
/// A pause and a settling at most: a week.
const DURATION_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// What lies between all nodes of a stage having the revision and the next stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// So long.
    For(Duration),
    /// Until somebody tells it to go on.
    ByHand,
}

/// A stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Stage {
    /// Who is chosen, beside those of the stages before.
    pub selection: Selection,
    /// What follows.
    pub pause: Pause,
}

/// How a revision is released: the stages, the last of which is everybody, and how long nodes may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Written", try_from = "Written")]
pub struct Terms {
    stages: Vec<Stage>,
    settle_timeout: Duration,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    stages: Vec<Stage>,
    settle_timeout: String,
}

impl From<Terms> for Written {
    fn from(terms: Terms) -> Written {
        Written {
            settle_timeout: interval::shown(terms.settle_timeout),
            stages: terms.stages,
        }
    }
}

impl TryFrom<Written> for Terms {
    type Error = String;

    fn try_from(written: Written) -> Result<Terms, String> {
        Terms::new(written.stages, duration(&written.settle_timeout)?)
    }
}

impl Terms {
    /// Everybody at once.
    pub fn at_once() -> Terms {
        Terms {
            stages: vec![Stage {
                selection: Selection::ALL,
                pause: Pause::For(Duration::ZERO),
            }],
            settle_timeout: SETTLE_TIMEOUT,
        }
    }

    /// These stages.
    ///
    /// # Errors
    /// None or too many, a last one that is not everybody, a time that is too long.
    pub fn new(stages: Vec<Stage>, settle_timeout: Duration) -> Result<Terms, String> {
        let Some(last) = stages.last() else {
            return Err("there are no stages; expected one or more, the last of them `100%`".to_owned());
        };
        if stages.len() > STAGES_MAX {
            return Err(format!("{} stages; {STAGES_MAX} are the most", stages.len()));
        }
        if last.selection != Selection::ALL {
            return Err(format!("the last stage is `{last}`; expected `100%`, everybody"));
        }
        if settle_timeout.is_zero() || settle_timeout > DURATION_MAX {
            let found = interval::shown(settle_timeout);
            return Err(format!(
                "nodes may take {found}; expected more than nothing and at most 7d"
            ));
        }
        Ok(Terms {
            stages,
            settle_timeout,
        })
    }

    /// Reads stages. Those that say no pause have `pause`; but one by hand is not that of the last stage, which nothing
    /// follows.
    ///
    /// # Errors
    /// What is wrong, and what would be right.
    pub fn read<'t>(
        texts: impl IntoIterator<Item = &'t str>,
        pause: Pause,
        settle_timeout: Duration,
    ) -> Result<Terms, String> {
        let read = texts.into_iter().map(stage).collect::<Result<Vec<_>, _>>()?;
        let count = read.len();
        let stages = read.into_iter().enumerate().map(|(at, (selection, own))| Stage {
            selection,
            pause: match (own, pause) {
                (Some(own), _) => own,
                (None, Pause::ByHand) if at + 1 == count => Pause::For(Duration::ZERO),
                (None, pause) => pause,
            },
        });
        Terms::new(stages.collect(), settle_timeout)
    }

    /// The stages; never empty.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// Everybody.
    pub fn last(&self) -> &Stage {
        self.stages.last().expect("terms have a last stage")
    }

    /// How long nodes of a stage may take until all have the revision; then it is held.
    pub fn settle_timeout(&self) -> Duration {
        self.settle_timeout
    }
}

impl fmt::Display for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stages: Vec<String> = self.stages.iter().map(Stage::to_string).collect();
        f.write_str(&stages.join(", "))
    }
}

impl FromStr for Pause {
    type Err = String;

    fn from_str(text: &str) -> Result<Pause, String> {
        match text {
            "by hand" => Ok(Pause::ByHand),
            _ => duration(text)
                .map(Pause::For)
                .map_err(|fault| format!("{fault}, or `by hand`")),
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Selection {
            service,
            share_millionths,
        } = &self.selection;
        let (whole, rest) = (share_millionths / 10_000, share_millionths % 10_000);
        match rest {
            0 => write!(f, "{whole}%")?,
            _ => write!(f, "{whole}.{}%", format!("{rest:04}").trim_end_matches('0'))?,
        }
        if let Some(service) = service {
            write!(f, " of {service}")?;
        }
        match self.pause {
            Pause::For(pause) => write!(f, " for {}", interval::shown(pause)),
            Pause::ByHand => f.write_str(" by hand"),
        }
    }
}

impl From<Stage> for String {
    fn from(stage: Stage) -> String {
        stage.to_string()
    }
}

impl TryFrom<String> for Stage {
    type Error = String;

    fn try_from(text: String) -> Result<Stage, String> {
        let (selection, pause) = stage(&text)?;
        let pause = pause.ok_or_else(|| format!("the stage `{text}` says no pause"))?;
        Ok(Stage { selection, pause })
    }
}

/// `SHARE%[ of SERVICE][ for PAUSE| by hand]`.
fn stage(text: &str) -> Result<(Selection, Option<Pause>), String> {
    let wrong = || {
        format!(
            "`{text}` is no stage; expected one as `5%`, `10% of shop/web`, `50% for 10m` or `50% by hand`"
        )
    };
    let text = text.trim();
    let (rest, pause) = match (text.strip_suffix(" by hand"), text.split_once(" for ")) {
        (Some(rest), _) => (rest, Some(Pause::ByHand)),
        (None, Some((rest, pause))) => (rest, Some(Pause::For(duration(pause)?))),
        (None, None) => (text, None),
    };
    let (share, service) = match rest.split_once(" of ") {
        Some((share, service)) => (share, Some(service.trim())),
        None => (rest, None),
    };
    if service.is_some_and(|service| service.is_empty() || service.contains(char::is_whitespace)) {
        return Err(wrong());
    }
    let share = share.trim().strip_suffix('%').ok_or_else(wrong)?;
    let (whole, fraction) = share.split_once('.').unwrap_or((share, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) || whole.len() > 3 || fraction.len() > 4 {
        return Err(wrong());
    }
    let digits = format!("{whole}{fraction:0<4}");
    let share_millionths = digits.parse::<u32>().map_err(|_| wrong())?;
    if !(1..=1_000_000).contains(&share_millionths) {
        return Err(format!(
            "`{text}` is no share; expected more than 0% and at most 100%"
        ));
    }
    let selection = Selection {
        service: service.map(str::to_owned),
        share_millionths,
    };
    Ok((selection, pause))
}

/// `500ms`, `30s`, `5m`, `24h`, `7d`; at most a week.
fn duration(text: &str) -> Result<Duration, String> {
    interval::parse(text)
        .filter(|duration| *duration <= DURATION_MAX)
        .ok_or_else(|| format!("`{text}` is no pause; expected one as `30s`, `10m` or `24h`, at most `7d`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[&str]) -> Result<Terms, String> {
        Terms::read(
            texts.iter().copied(),
            Pause::For(Duration::from_secs(30)),
            SETTLE_TIMEOUT,
        )
    }

    #[test]
    fn stages_are_read_as_they_are_shown() {
        let terms = read(&["2.5%", "10% of shop/web", "50% for 90s", "75% by hand", "100%"]).unwrap();
        let shown = "2.5% for 30s, 10% of shop/web for 30s, 50% for 90s, 75% by hand, 100% for 30s";
        assert_eq!(terms.to_string(), shown);
        assert_eq!(terms.stages()[0].selection.share_millionths, 25_000);
        let json = serde_json::to_string(&terms).unwrap();
        assert_eq!(serde_json::from_str::<Terms>(&json).unwrap(), terms);
    }

    #[test]
    fn a_pause_by_hand_is_not_that_of_the_last_stage() {
        let terms = Terms::read(["50%", "100%"], Pause::ByHand, SETTLE_TIMEOUT).unwrap();
        assert_eq!(terms.to_string(), "50% by hand, 100% for 0s");
    }

    #[test]
    fn what_is_no_release_is_refused() {
        let many = vec!["1%"; STAGES_MAX]
            .into_iter()
            .chain(["100%"])
            .collect::<Vec<_>>();
        let wrong: [(&[&str], &str); 11] = [
            (&[], "there are no stages"),
            (&["50%"], "expected `100%`"),
            (&["100% of shop/web"], "expected `100%`"),
            (&["0%", "100%"], "is no share"),
            (&["101%"], "is no share"),
            (&["half", "100%"], "is no stage"),
            (&["1.23456%", "100%"], "is no stage"),
            (&["5% of a b", "100%"], "is no stage"),
            (&["5% for ever", "100%"], "is no pause"),
            (&["5% for 8d", "100%"], "at most `7d`"),
            (&many, "are the most"),
        ];
        for (texts, expected) in wrong {
            let fault = read(texts).expect_err(expected);
            assert!(fault.contains(expected), "{texts:?}: {fault}");
        }
        assert!(Terms::read(["100%"], Pause::ByHand, Duration::ZERO).is_err());
    }
}
