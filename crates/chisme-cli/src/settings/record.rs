//! What the configuration file says of the node itself: tags and services, checked.

use std::path::Path;

use chisme::{Record, RecordError, Service, ServiceStatus};

use crate::config_file::{ConfigFile, ServiceTable};
use crate::usage::{UsageError, tilde};

/// The record that `file`, which is at `path`, describes.
pub(super) fn record(file: &ConfigFile, path: &Path) -> Result<Record, UsageError> {
    let refuse = |key: &str, problem: &dyn std::fmt::Display| {
        UsageError::new(format!("`{key}` in {}: {problem}", tilde(path)))
    };
    let mut record = Record::default().with_tags(file.tags.clone());
    record.check().map_err(|problem| refuse("tags", &problem))?;
    for table in &file.service {
        if record.services.contains_key(&table.name) {
            return Err(refuse("service", &format!("{:?} stands there twice", table.name)));
        }
        let service = service(table).map_err(|problem| refuse("service", &problem))?;
        record = record.with_service(service);
        record.check().map_err(|problem| refuse("service", &problem))?;
    }
    Ok(record)
}

fn service(table: &ServiceTable) -> Result<Service, RecordError> {
    let status = match &table.status {
        Some(text) => text.parse()?,
        None => ServiceStatus::default(),
    };
    let mut service = Service::new(&table.name, table.port)
        .version(&table.version)
        .status(status)
        .weight(table.weight.unwrap_or(1));
    service.metadata.clone_from(&table.metadata);
    Ok(service)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Record, String> {
        let dir = tempfile::tempdir().expect("made");
        let path = dir.path().join("chisme.toml");
        std::fs::write(&path, text).expect("written");
        let file = ConfigFile::read(&path).map_err(|error| error.to_string())?;
        record(&file, &path).map_err(|error| error.to_string())
    }

    #[test]
    fn tags_and_services_are_taken_as_they_stand_there() {
        let record = of("[tags]\nzone = 'eu-1'\n[[service]]\nname = 'billing'\nport = 80\n\
            [[service]]\nname = 'mail'\nport = 25\nstatus = 'paused'\nweight = 3\nversion = '2'\n\
            metadata = { proto = 'smtp' }\n")
        .expect("valid");
        assert_eq!(record.tags["zone"], "eu-1");
        assert_eq!(record.services["billing"], Service::new("billing", 80));
        let mail = Service::new("mail", 25).status(ServiceStatus::Paused).weight(3).version("2");
        assert_eq!(record.services["mail"], mail.metadata("proto", "smtp"));
    }

    #[test]
    fn what_is_wrong_is_quoted_with_its_place() {
        for (text, part) in [
            ("[tags]\n'a b' = 'x'\n", "`tags` in "),
            ("[tags]\n'a b' = 'x'\n", "\"a b\" is no tag: ' ' is not allowed"),
            ("[[service]]\nname = 'b!'\nport = 1\n", "\"b!\" is no name of a service"),
            ("[[service]]\nname = 'b'\nport = 1\nstatus = 'up'\n", "\"up\" is no status"),
            ("[[service]]\nname = 'b'\nport = 1\n[[service]]\nname = 'b'\nport = 2\n", "twice"),
            ("[[service]]\nname = 'b'\n", "missing field `port`"),
            ("[[service]]\nname = 'b'\nport = 1\nprot = 2\n", "`prot`"),
        ] {
            let error = of(text).expect_err(text);
            assert!(error.contains(part), "{error}");
        }
    }
}
