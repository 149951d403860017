//! Tracing as YAML.

use super::emit::{Map, Out, list, text};
use super::{boolean, duration_or_off, number_or_off, percent, word};
use crate::model::{HeaderValue, RouteTraceSampling, RouteTracing, TraceSampling, Tracing};
use crate::yaml::tracing::{FORMATS, PARENTS, WRITTEN_FORMATS};
use std::fmt::Debug;

pub(super) fn settings(settings: Option<&Tracing>) -> Out {
    let Some(settings) = settings else {
        return word("off");
    };
    let mut map = Map::default()
        .with("collector", text(&settings.collector))
        .with("sampling", sampling(settings.sampling))
        .with("extract", words(&FORMATS, &settings.extract))
        .with("inject", words(&WRITTEN_FORMATS, &settings.inject))
        .with(
            "force_header",
            match &settings.force_header {
                Some(name) => text(name.as_str()),
                None => word("off"),
            },
        )
        .with("keep_errors", boolean(settings.keep_errors))
        .with("keep_slow", duration_or_off(settings.keep_slow));
    put_span_name(&mut map, settings.span_name.as_ref());
    if !settings.attributes.is_empty() {
        let mut attributes = Map::default();
        for (key, value) in &settings.attributes {
            attributes.put(key, text(value.to_string()));
        }
        map.put("attributes", attributes);
    }
    map.into()
}

pub(super) fn of_route(route: &RouteTracing) -> Out {
    let RouteTracing::Changed {
        sampling: changed,
        span_name,
    } = route
    else {
        return word("off");
    };
    let mut map = Map::default();
    if let Some(changed) = changed {
        map.put("sampling", route_sampling(*changed));
    }
    put_span_name(&mut map, span_name.as_ref());
    map.into()
}

fn put_span_name(map: &mut Map, name: Option<&HeaderValue>) {
    if let Some(name) = name {
        map.put("span_name", text(name.to_string()));
    }
}

fn sampling(sampling: TraceSampling) -> Map {
    Map::default()
        .with("parent", words_of(&PARENTS, sampling.parent))
        .with("percent", percent(sampling.fraction.parts_per_million()))
        .with("traces_per_second", number_or_off(sampling.traces_per_second))
}

fn route_sampling(sampling: RouteTraceSampling) -> Map {
    let mut map = Map::default();
    if let Some(parent) = sampling.parent {
        map.put("parent", words_of(&PARENTS, parent));
    }
    if let Some(fraction) = sampling.fraction {
        map.put("percent", percent(fraction.parts_per_million()));
    }
    if let Some(traces) = sampling.traces_per_second {
        map.put("traces_per_second", number_or_off(traces));
    }
    map
}

fn words<T: Copy + PartialEq + Debug>(known: &[(&'static str, T)], values: &[T]) -> Out {
    list(values.iter().map(|value| words_of(known, *value)))
}

fn words_of<T: PartialEq + Debug>(known: &[(&'static str, T)], value: T) -> Out {
    let found = known.iter().find(|(_, known)| *known == value);
    word(found.expect("every value has a word").0)
}
