//! Names of files that people mistake for each other.

/// The first of these names that someone may have meant as the file `name`: another extension for YAML, other upper case,
/// or other separators.
#[must_use]
pub(crate) fn near_miss<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let plain = |name: &str| {
        let mut plain = name.to_lowercase();
        while let Some((stem, "yaml" | "yml" | "json" | "txt")) = plain.rsplit_once('.') {
            plain = stem.to_owned();
        }
        plain.replace(['-', '_', ' '], "")
    };
    let meant = plain(name);
    let mut similar = names.filter(|other| *other != name && !other.contains('/') && plain(other) == meant);
    similar.next()
}

/// A near miss of an optional file. Only YAML is one: a module's own `manifest.json` may be anything.
#[must_use]
pub(crate) fn misspelt<'n>(name: &str, names: impl Iterator<Item = &'n str> + Clone) -> Option<&'n str> {
    let is_yaml = |other: &&str| {
        let other = other.to_lowercase();
        let other = other.strip_suffix(".txt").unwrap_or(&other);
        [".yml", ".yaml"]
            .iter()
            .any(|extension| other.ends_with(extension))
    };
    if names.clone().any(|other| other == name) {
        return None;
    }
    near_miss(name, names.filter(is_yaml))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_extension_case_or_separator_is_a_near_miss() {
        for other in [
            "deployment.yml",
            "Deployment.yaml",
            "DEPLOYMENT.YAML",
            "deployment.yaml.txt",
            "deploy-ment.json",
        ] {
            let names = ["README.md", "deployment.yaml", "sub/deployment.yml", other];
            assert_eq!(near_miss("deployment.yaml", names.into_iter()), Some(other));
        }
        assert_eq!(
            near_miss("deployment.yaml", ["deployments.yaml", "prod.yaml"].into_iter()),
            None
        );
    }

    #[test]
    fn an_optional_file_is_misspelt_only_as_yaml_and_only_if_it_is_missing() {
        let names = ["manifest.json", "modulestack.yml", "sub/manifest.yml"];
        assert_eq!(misspelt("manifest.yaml", names.into_iter()), None);
        assert_eq!(
            misspelt("modulestack.yaml", names.into_iter()),
            Some("modulestack.yml")
        );
        for other in ["Manifest.yaml", "manifest.yml", "manifest.yaml.txt"] {
            assert_eq!(misspelt("manifest.yaml", [other].into_iter()), Some(other));
            let both = [other, "manifest.yaml"];
            assert_eq!(misspelt("manifest.yaml", both.into_iter()), None);
        }
    }
}
