//! `HcsGetServiceProperties`: what the service and its host are.
//!
//! A property that cannot be had fails the call when `PropertyTypes` names it, and only itself in `PropertyQueries`.

mod capabilities;

use std::{collections::BTreeMap, sync::Arc};

use hcs_engine::engine::Engine;
use hcs_schema::{
    Failure, HResult,
    coverage::SERVICE,
    documents::{
        BasicInformation, GetPropertyType, QoSCapabilities, ServiceProperties,
        ServicePropertyQuery, Version,
    },
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    client::{
        about,
        properties::{check_count, response, to_text},
        service::Service,
    },
    document::parse_optional,
    record::blocking::blocking,
    upkeep::{host, processor_features},
};

/// Minor versions of schema 2 that documents may name.
const MINORS: std::ops::RangeInclusive<u32> = 0..=6;

/// What a query asks for.
#[derive(Debug)]
pub(crate) struct Asked {
    /// In `PropertyTypes`.
    kinds: Option<Vec<GetPropertyType>>,
    /// In `PropertyQueries`.
    names: Option<Vec<String>>,
}

/// What is found of a property.
type Found = Result<Value, Failure>;

/// Reads a query; without one, the basic property is asked for.
///
/// # Errors
/// The query is wrong.
pub(crate) fn parse(query: Option<&str>) -> Result<Asked, Failure> {
    let query: ServicePropertyQuery = parse_optional(&SERVICE, query)?;
    let mut kinds = query.property_types;
    check_count("/PropertyTypes", kinds.as_ref().map(Vec::len))?;
    let queries = query.property_queries;
    check_count("/PropertyQueries", queries.as_ref().map(BTreeMap::len))?;
    if kinds.is_none() && queries.is_none() {
        kinds = Some(vec![GetPropertyType::Basic]);
    }
    Ok(Asked {
        kinds,
        names: queries.map(|queries| queries.into_keys().collect()),
    })
}

impl Asked {
    fn all(&self) -> impl Iterator<Item = GetPropertyType> {
        let named = self.names.iter().flatten();
        let named = named.filter_map(|name| by_name(name));
        self.kinds.iter().flatten().copied().chain(named)
    }

    /// Whether the answer needs a look at the host.
    pub(crate) fn asks_the_host(&self) -> bool {
        self.all().any(is_of_host)
    }

    /// The answer, when nothing of the host is asked for.
    ///
    /// # Errors
    /// A property in `PropertyTypes` cannot be had.
    pub(crate) fn answer(self, service: &Service) -> Result<String, Failure> {
        to_text(&self.put_together(|kind| own(service, kind))?)
    }

    /// The answer. The host is looked at on another thread than the service's.
    ///
    /// # Errors
    /// As for [`Self::answer`].
    pub(crate) async fn answer_aside(
        self,
        service: &Service,
    ) -> Result<ServiceProperties, Failure> {
        let engines = service.context.engines.clone();
        let mut kinds: Vec<_> = self.all().filter(|kind| is_of_host(*kind)).collect();
        kinds.sort_by_key(|kind| kind.name());
        kinds.dedup();
        let look = move || {
            let found = |kind| (kind, of_host(&engines, kind));
            Ok(kinds.into_iter().map(found).collect::<Vec<_>>())
        };
        let found = blocking(look).await?;
        self.put_together(|kind| match found.iter().find(|(of, _)| *of == kind) {
            Some((_, found)) => found.clone(),
            None => own(service, kind),
        })
    }

    fn put_together(
        self,
        find: impl Fn(GetPropertyType) -> Found,
    ) -> Result<ServiceProperties, Failure> {
        let mut properties = ServiceProperties::default();
        if let Some(kinds) = self.kinds {
            // Each is found out once, however often it is asked for.
            let mut known: Vec<(GetPropertyType, Value)> = Vec::new();
            let mut values = Vec::with_capacity(kinds.len());
            for kind in kinds {
                let value = match known.iter().find(|(of, _)| *of == kind) {
                    Some((_, value)) => value.clone(),
                    None => {
                        let value = find(kind)?;
                        known.push((kind, value.clone()));
                        value
                    }
                };
                values.push(value);
            }
            properties.properties = Some(values);
        }
        if let Some(names) = self.names {
            let mut responses = BTreeMap::new();
            for name in names {
                let found = by_name(&name).map_or_else(|| Err(unknown(&name)), &find);
                responses.insert(name, response(found)?);
            }
            properties.property_responses = Some(responses);
        }
        Ok(properties)
    }
}

fn by_name(name: &str) -> Option<GetPropertyType> {
    let mut all = GetPropertyType::ALL.iter();
    all.find(|kind| kind.name() == name).copied()
}

fn unknown(name: &str) -> Failure {
    Failure::new(
        HResult::E_INVALIDARG,
        format!("there is no service property {name}"),
    )
}

/// Whether the host has to be looked at for it, which takes time.
const fn is_of_host(kind: GetPropertyType) -> bool {
    matches!(
        kind,
        GetPropertyType::ProcessorTopology
            | GetPropertyType::Memory
            | GetPropertyType::QoSCapabilities
            | GetPropertyType::ProcessorCapabilities
            | GetPropertyType::Capabilities
    )
}

/// A property for which [`is_of_host`].
fn of_host(engines: &[Arc<dyn Engine>], kind: GetPropertyType) -> Found {
    let unknown = |what: &str, e: std::io::Error| {
        Failure::new(HResult::E_FAIL, format!("the host's {what} is not known")).because(&e)
    };
    match kind {
        GetPropertyType::ProcessorTopology => {
            value(&host::topology().map_err(|e| unknown("processor topology", e))?)
        }
        GetPropertyType::Memory => {
            let memory = hcs_engine::memory::host_memory().map_err(|e| unknown("memory", e))?;
            Ok(json!({
                "TotalMemoryInBytes": memory.total,
                "AvailableMemoryInBytes": memory.available,
            }))
        }
        GetPropertyType::QoSCapabilities => value(&QoSCapabilities {
            processor_qos_supported: Some(capabilities::limits_processors(engines)),
        }),
        GetPropertyType::ProcessorCapabilities => {
            value(processor_features::capabilities().map_err(|e| unknown("processors", e))?)
        }
        GetPropertyType::Capabilities => Ok(capabilities::answer(engines)),
        _ => Err(unavailable(kind)),
    }
}

/// A property that the service knows by itself.
fn own(service: &Service, kind: GetPropertyType) -> Found {
    match kind {
        GetPropertyType::Basic => value(&basic()),
        GetPropertyType::CpuGroup => value(&service.cpu_groups.configurations()),
        GetPropertyType::Service => Ok(about::answer(service)),
        _ => Err(unavailable(kind)),
    }
}

fn unavailable(kind: GetPropertyType) -> Failure {
    Failure::new(
        HResult::NOT_SUPPORTED,
        format!(
            "the service property {} is not available on this host",
            kind.name()
        ),
    )
}

fn basic() -> BasicInformation {
    let version = |minor| Version {
        major: Some(2),
        minor: Some(minor),
    };
    BasicInformation {
        supported_schema_versions: Some(MINORS.map(version).collect()),
    }
}

fn value<T: Serialize>(document: &T) -> Result<Value, Failure> {
    serde_json::to_value(document).map_err(|e| {
        Failure::new(HResult::E_UNEXPECTED, "an answer could not be written").because(&e)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_looked_at_for_what_it_knows_however_it_is_asked_for() {
        for (query, expected) in [
            (None, false),
            (Some(r#"{"PropertyTypes":["Basic","Service"]}"#), false),
            (Some(r#"{"PropertyQueries":{"CpuGroup":{}}}"#), false),
            (Some(r#"{"PropertyTypes":["Basic","Memory"]}"#), true),
            (Some(r#"{"PropertyQueries":{"Capabilities":{}}}"#), true),
            (Some(r#"{"PropertyQueries":{"no such thing":{}}}"#), false),
        ] {
            let asked = parse(query).unwrap();
            assert_eq!(asked.asks_the_host(), expected, "{query:?}");
        }
        for kind in GetPropertyType::ALL {
            let refused = of_host(&[], *kind).err().map(|failure| failure.hresult);
            let unavailable = refused == Some(HResult::NOT_SUPPORTED);
            assert_ne!(unavailable, is_of_host(*kind), "{}", kind.name());
        }
    }
}
