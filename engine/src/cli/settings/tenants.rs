//! What one tenant has of its own: the sections `[tenants.NAME]`.

use std::collections::BTreeMap;

use super::grants::grants_of;
use super::{Origin, Settings, Value, Values, hint};
use crate::Engine;
use crate::error::{Error, Result};
use crate::grants::Grants;
use crate::id::{ImageName, TenantId};

/// The section with a section for each tenant.
pub(super) const SECTION: &str = "tenants";

/// What can be set for one tenant, besides all of `[grants]` and `[quota]`.
pub(super) const IMAGE: &str = "image";

/// By tenant; only a file can set it.
pub(super) type Tenants = BTreeMap<TenantId, Values>;

impl Settings {
    /// What tenants have of their own, by name as it is listed.
    pub(super) fn of_tenants(&self) -> impl Iterator<Item = (String, &(Value, Origin))> {
        self.tenants.iter().flat_map(|(id, values)| {
            values.iter().map(move |(name, value)| (format!("{SECTION}.{id}.{name}"), value))
        })
    }

    /// Whether a file names tenants.
    pub(in super::super) fn has_tenants(&self) -> bool {
        !self.tenants.is_empty()
    }

    /// Tenants that a file names and that there are none of, each with a line for people: they may
    /// be created yet, or be misspelt.
    pub(in super::super) fn unknown_tenants(&self, known: &[TenantId]) -> Vec<String> {
        let unknown = self.tenants.iter().filter(|(id, _)| !known.contains(id));
        let told = unknown.map(|(id, values)| {
            let origin =
                values.values().next().map_or(String::new(), |(_, origin)| format!("{origin}: "));
            format!(
                "{origin}there is no tenant {id}{}",
                hint(id.as_str(), known.iter().map(TenantId::as_str))
            )
        });
        told.collect()
    }

    /// The runtime images of tenants that have one of their own; nothing for those that run
    /// without packages whatever `runtime.image` is.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if one is no image's name,
    /// naming where it was written.
    pub(in super::super) fn tenant_images(&self) -> Result<Vec<(TenantId, Option<ImageName>)>> {
        let images = self.tenants.iter().filter_map(|(id, values)| Some((id, values.get(IMAGE)?)));
        let image = |(id, (value, origin)): (&TenantId, &(Value, Origin))| {
            let name = value.to_string();
            let image = (!name.is_empty()).then(|| ImageName::new(&name)).transpose();
            let image = image.map_err(|error| {
                let problem = error.message();
                Error::invalid_argument(format!("{origin}: {SECTION}.{id}.{IMAGE}: {problem}"))
            })?;
            Ok((id.clone(), image))
        };
        images.map(image).collect()
    }

    /// What tenants may reach that have grants of their own, in place of `[grants]`.
    ///
    /// # Errors
    /// As [`grants`](Self::grants).
    pub(in super::super) fn tenant_grants(&self) -> Result<Vec<(TenantId, Grants)>> {
        let has_some = |values: &Values| values.keys().any(|name| name.starts_with("grants."));
        let tenants = self.tenants.iter().filter(|(_, values)| has_some(values));
        tenants.map(|(id, values)| Ok((id.clone(), grants_of(values)?))).collect()
    }

    /// Lets tenants reach and take what is said here.
    ///
    /// # Errors
    /// As [`grants`](Self::grants).
    pub(in super::super) fn govern(&self, engine: &Engine) -> Result<()> {
        engine.set_grants(self.grants()?, self.tenant_grants()?.into_iter().collect());
        engine.set_quotas(self.quota(), self.tenant_quotas());
        Ok(())
    }

    /// What the tenant of this command may reach.
    ///
    /// # Errors
    /// As [`grants`](Self::grants), and [`tenant`](Self::tenant).
    pub(in super::super) fn granted(&self) -> Result<Grants> {
        let tenant = self.tenant()?;
        let own = self.tenant_grants()?.into_iter().find(|(id, _)| *id == tenant);
        own.map_or_else(|| self.grants(), |(_, grants)| Ok(grants))
    }
}
