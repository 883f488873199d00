//! `HcsGetServiceProperties`: what the service and its host are.
//!
//! A property that cannot be had fails the call when `PropertyTypes` names it, and only itself in `PropertyQueries`.

mod capabilities;

use std::collections::BTreeMap;

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
    upkeep::{host, processor_features},
};

/// Minor versions of schema 2 that documents may name.
const MINORS: std::ops::RangeInclusive<u32> = 0..=6;

/// Answers a query; without one, with the basic property.
///
/// # Errors
/// The query is wrong, or names a property in `PropertyTypes` that cannot be had.
pub(crate) fn answer(service: &Service, query: Option<&str>) -> Result<String, Failure> {
    let query: ServicePropertyQuery = parse_optional(&SERVICE, query)?;
    let kinds = query.property_types.as_ref();
    check_count("/PropertyTypes", kinds.map(Vec::len))?;
    let queries = query.property_queries.as_ref();
    check_count("/PropertyQueries", queries.map(BTreeMap::len))?;
    let mut properties = ServiceProperties::default();
    let mut kinds = query.property_types;
    if kinds.is_none() && query.property_queries.is_none() {
        kinds = Some(vec![GetPropertyType::Basic]);
    }
    if let Some(kinds) = kinds {
        // Each is found out once, however often it is asked for.
        let mut known: Vec<(GetPropertyType, Value)> = Vec::new();
        let mut values = Vec::with_capacity(kinds.len());
        for kind in kinds {
            let value = match known.iter().find(|(of, _)| *of == kind) {
                Some((_, value)) => value.clone(),
                None => {
                    let value = property(service, kind)?;
                    known.push((kind, value.clone()));
                    value
                }
            };
            values.push(value);
        }
        properties.properties = Some(values);
    }
    if let Some(queries) = query.property_queries {
        let mut responses = BTreeMap::new();
        for name in queries.into_keys() {
            let response = response(by_name(service, &name))?;
            responses.insert(name, response);
        }
        properties.property_responses = Some(responses);
    }
    to_text(&properties)
}

fn by_name(service: &Service, name: &str) -> Result<Value, Failure> {
    let known = GetPropertyType::ALL.iter().find(|kind| kind.name() == name);
    match known {
        Some(kind) => property(service, *kind),
        None => Err(Failure::new(
            HResult::E_INVALIDARG,
            format!("there is no service property {name}"),
        )),
    }
}

fn property(service: &Service, kind: GetPropertyType) -> Result<Value, Failure> {
    let unknown = |what: &str, e: std::io::Error| {
        Failure::new(HResult::E_FAIL, format!("the host's {what} is not known")).because(&e)
    };
    match kind {
        GetPropertyType::Basic => value(&basic()),
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
        GetPropertyType::CpuGroup => value(&service.cpu_groups.configurations()),
        GetPropertyType::QoSCapabilities => value(&QoSCapabilities {
            processor_qos_supported: Some(capabilities::limits_processors(
                &service.context.engines,
            )),
        }),
        GetPropertyType::ProcessorCapabilities => {
            value(processor_features::capabilities().map_err(|e| unknown("processors", e))?)
        }
        GetPropertyType::Capabilities => Ok(capabilities::answer(&service.context.engines)),
        GetPropertyType::Service => Ok(about::answer(service)),
        GetPropertyType::ContainerCredentialGuard
        | GetPropertyType::CacheAllocation
        | GetPropertyType::CacheMonitoring
        | GetPropertyType::MemoryBwAllocation
        | GetPropertyType::Undefined => Err(Failure::new(
            HResult::NOT_SUPPORTED,
            format!(
                "the service property {} is not available on this host",
                kind.name()
            ),
        )),
    }
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
