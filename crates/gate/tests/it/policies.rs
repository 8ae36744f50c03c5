//! What policy decides, and which policies are let in.

use writ_gate::{Circumstances, Plan, Resource, policy::Policies};
use writ_kernel::{Action, Kind, PrincipalKind, Role};

use crate::cast::{deployment, environment, facts, facts_under, of_kind, person};

#[test]
fn the_built_in_policies_compile() {
    Policies::compile("").unwrap();
}

#[test]
fn what_nothing_permits_does_not_happen() {
    let (policies, nobody) = (Policies::compile("").unwrap(), person(&[]));
    let decision = policies.decide(Action::PersonCreate, &facts(&nobody, &Resource::all("person"))).unwrap();
    assert!(!decision.allow);
    assert!(decision.reasons.is_empty());
}

#[test]
fn a_permission_names_the_policy_that_gave_it() {
    let (policies, admin) = (Policies::compile("").unwrap(), person(&["admin"]));
    let decision = policies.decide(Action::PersonCreate, &facts(&admin, &Resource::all("person"))).unwrap();
    assert!(decision.allow);
    assert_eq!(decision.reasons, ["admin-administers"]);
}

#[test]
fn a_tenants_own_permit_permits() {
    let policies = Policies::compile(
        r#"@id("interns-upload") permit (principal in Writ::Role::"intern", action == Writ::Action::"runtime.configurations.create", resource);"#,
    )
    .unwrap();
    let intern = person(&["intern"]);
    let decision = policies
        .decide(Action::ConfigurationCreate, &facts(&intern, &Resource::all("configuration")))
        .unwrap();
    assert!(decision.allow);
    assert_eq!(decision.reasons, ["tenant/interns-upload"]);
}

#[test]
fn a_guard_wins_over_a_tenants_own_permit() {
    let policies = Policies::compile(r"permit (principal, action, resource);").unwrap();
    let author = person(&["developer", "approver"]);
    let decision = policies
        .decide(Action::ApprovalDecide, &facts(&author, &deployment("prod", author.principal)))
        .unwrap();
    assert!(!decision.allow);
    assert_eq!(decision.reasons, ["no-one-decides-on-own-change"]);
    assert_eq!(decision.hint.as_deref(), Some("somebody other than the author must decide"));
}

#[test]
fn a_tenants_own_guard_wins_over_the_built_in_roles_and_gives_its_hint() {
    let policies = Policies::compile(
        r#"
        @id("no-deletes") @hint("deletes go through the platform team")
        forbid (principal, action == Writ::Action::"runtime.deployments.apply", resource)
        when { context has plan && context.plan.delete > 0 };
        "#,
    )
    .unwrap();
    let (operator, around) = (person(&["operator"]), |delete| Circumstances {
        plan: Some(Plan { delete, ..Plan::default() }),
        ..Circumstances::default()
    });
    let resource = deployment("dev", operator.principal);
    let decide = |delete| {
        policies.decide(Action::DeploymentApply, &facts_under(&operator, &resource, &around(delete))).unwrap()
    };
    assert!(decide(0).allow);
    let refused = decide(1);
    assert!(!refused.allow);
    assert_eq!(refused.hint.as_deref(), Some("deletes go through the platform team"));
}

#[test]
fn every_fact_of_a_request_can_be_asked_for() {
    let policies = Policies::compile(
        r#"
        permit (principal, action == Writ::Action::"runtime.deployments.apply", resource in Writ::Environment::"ENV")
        when {
          principal.kind == "person" && resource.kind == "deployment" &&
          resource has author && resource.author == principal && resource has owner && resource.owner != principal &&
          resource has cloud && resource.cloud == "aws" && resource has state && resource.state == "s3" &&
          resource has environment && resource.environment.kind == "dev" && resource.environment.requiredApprovals == 1 &&
          context.now == datetime("2026-11-22T12:00:00Z") && context.mfa == false && context.sessionAgeSeconds == 0 &&
          context has source && context.source.isInRange(ip("192.0.2.0/24")) &&
          context.approvals == 1 && context has isolation && context.isolation == 2 &&
          context has plan && context.plan.create == 1 && context.plan.update == 2 && context.plan.replace == 4 &&
          context.plan.regions.contains("eu-west-1") && context.plan.types.contains("aws_instance") &&
          context.plan.images.contains("ami-1") && context.plan.providers.contains("hashicorp/aws")
        };
        "#
        .replace("ENV", "00000000-0000-0000-0000-000000000000")
        .as_str(),
    )
    .unwrap();
    let mut caller = person(&[]);
    caller.source = Some("192.0.2.9".parse().unwrap());
    let mut place = environment("dev", 1);
    place.id = writ_kernel::Id::from_uuid(uuid::Uuid::nil());
    let mut resource = deployment("dev", caller.principal).within(place).of(person(&[]).principal);
    (resource.cloud, resource.state) = (Some("aws".to_owned()), Some("s3".to_owned()));
    let around = Circumstances {
        approvals: 1,
        isolation: Some(2),
        plan: Some(Plan {
            create: 1,
            update: 2,
            delete: 3,
            replace: 4,
            types: vec!["aws_instance".to_owned()],
            regions: vec!["eu-west-1".to_owned()],
            images: vec!["ami-1".to_owned()],
            providers: vec!["hashicorp/aws".to_owned()],
        }),
    };
    assert!(
        policies.decide(Action::DeploymentApply, &facts_under(&caller, &resource, &around)).unwrap().allow
    );
}

#[test]
fn a_policy_that_cannot_be_evaluated_lets_nothing_happen() {
    let policies = Policies::compile(
        r"forbid (principal, action, resource) when { context.approvals + 9223372036854775807 > 0 };",
    )
    .unwrap();
    let admin = person(&["admin"]);
    let around = Circumstances { approvals: 1, ..Circumstances::default() };
    let refused =
        policies.decide(Action::PersonRead, &facts_under(&admin, &Resource::all("person"), &around)).unwrap();
    assert_eq!((refused.allow, refused.reasons), (false, vec!["evaluation-error".to_owned()]));
}

#[test]
fn a_role_of_one_environment_holds_in_no_other() {
    let policies = Policies::compile("").unwrap();
    let mut caller = person(&[]);
    let place = environment("dev", 0);
    caller.roles = [Role { name: "viewer".parse().unwrap(), environment: Some(place.id) }].into();
    let here = deployment("dev", caller.principal).within(place);
    let elsewhere = deployment("dev", caller.principal);
    assert!(policies.decide(Action::DeploymentRead, &facts(&caller, &here)).unwrap().allow);
    assert!(!policies.decide(Action::DeploymentRead, &facts(&caller, &elsewhere)).unwrap().allow);
}

#[test]
fn a_runner_reports_on_its_own_run_and_nobody_elses() {
    let policies = Policies::compile("").unwrap();
    let runner = of_kind(PrincipalKind::Runner, &[]);
    let own = Resource::all("run").of(runner.principal);
    let others = Resource::all("run").of(person(&[]).principal);
    assert!(policies.decide(Action::RunReport, &facts(&runner, &own)).unwrap().allow);
    assert!(!policies.decide(Action::RunReport, &facts(&runner, &others)).unwrap().allow);
}

#[test]
fn a_runner_less_isolated_than_demanded_changes_nothing() {
    let policies = Policies::compile("").unwrap();
    let operator = person(&["operator"]);
    let mut place = environment("dev", 0);
    place.minimum_isolation = 2;
    let resource = deployment("dev", operator.principal).within(place);
    let apply = |isolation| {
        let around = Circumstances { isolation, ..Circumstances::default() };
        policies.decide(Action::DeploymentApply, &facts_under(&operator, &resource, &around)).unwrap().allow
    };
    assert!(!apply(None) && !apply(Some(1)) && apply(Some(2)));
}

#[test]
fn local_state_and_local_clouds_are_for_development_only() {
    let policies = Policies::compile("").unwrap();
    let operator = person(&["operator"]);
    let create = |kind, cloud: &str, state: &str| {
        let mut resource = Resource::all("connection").within(environment(kind, 0));
        (resource.cloud, resource.state) = (Some(cloud.to_owned()), Some(state.to_owned()));
        policies.decide(Action::ConnectionCreate, &facts(&operator, &resource)).unwrap().allow
    };
    assert!(create("dev", "local", "local") && create("prod", "aws", "s3"));
    assert!(
        !create("prod", "local", "s3")
            && !create("prod", "aws", "local")
            && !create("staging", "aws", "local")
    );
}

mod approvals_needed {
    use super::*;

    fn needed(own: &str, kind: &str, demanded: u8) -> Option<u8> {
        let operator = person(&["operator"]);
        let resource = deployment(kind, operator.principal).within(environment(kind, demanded));
        let policies = Policies::compile(own).unwrap();
        policies.approvals_needed(Action::DeploymentApply, &facts(&operator, &resource)).unwrap()
    }

    #[test]
    fn none_where_nobody_demands_any() {
        assert_eq!(needed("", "dev", 0), Some(0));
    }

    #[test]
    fn one_in_production_even_where_the_environment_demands_none() {
        assert_eq!(needed("", "prod", 0), Some(1));
    }

    #[test]
    fn as_many_as_the_environment_demands() {
        assert_eq!(needed("", "staging", 3), Some(3));
    }

    #[test]
    fn as_many_as_a_tenants_own_policy_demands() {
        let own = r#"forbid (principal, action == Writ::Action::"runtime.deployments.apply", resource)
                     when { context.approvals < 2 };"#;
        assert_eq!(needed(own, "prod", 1), Some(2));
    }

    #[test]
    fn no_number_where_policy_forbids_it_whatever_anyone_says() {
        assert_eq!(needed("forbid (principal, action, resource);", "dev", 0), None);
    }
}

mod hostile {
    use super::*;

    #[track_caller]
    fn refused(text: &str) -> String {
        let error = Policies::compile(text).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{error}");
        assert_eq!(error.field(), Some("policies"));
        error.public().to_owned()
    }

    #[test]
    fn a_mistake_of_syntax_is_told_with_its_line() {
        let told = refused("permit (principal, action, resource);\n\npermit (principal, action resource);");
        assert!(told.starts_with("line 3: "), "{told}");
    }

    #[test]
    fn an_attribute_that_does_not_exist_is_told_with_its_line() {
        let told = refused("permit (principal, action, resource)\nwhen {\n  principal.shoeSize == 44\n};");
        assert!(told.starts_with("line 3: "), "{told}");
        assert!(told.contains("shoeSize"), "{told}");
    }

    #[test]
    fn an_action_that_does_not_exist_is_told_with_its_line() {
        let told = refused("\npermit (principal, action == Writ::Action::\"runtime.everything\", resource);");
        assert!(told.starts_with("line 2: "), "{told}");
        assert!(told.contains("runtime.everything"), "{told}");
    }

    #[test]
    fn an_optional_attribute_must_be_asked_for_first() {
        refused(r"permit (principal, action, resource) when { resource.author == principal };");
    }

    #[test]
    fn templates_are_refused() {
        let told = refused("permit (principal == ?principal, action, resource);");
        assert_eq!(told, "templates are not supported");
    }

    #[test]
    fn an_id_names_one_policy() {
        let twice = r#"@id("a") permit (principal, action, resource); @id("a") forbid (principal, action, resource);"#;
        assert!(refused(twice).contains("tenant/a"));
    }

    #[test]
    fn an_id_cannot_pass_for_a_built_in_one() {
        let policies =
            Policies::compile(r#"@id("admin-administers") permit (principal, action, resource);"#).unwrap();
        let decision =
            policies.decide(Action::PersonRead, &facts(&person(&[]), &Resource::all("person"))).unwrap();
        assert_eq!(decision.reasons, ["tenant/admin-administers"]);
    }

    #[test]
    fn an_unnamed_policy_cannot_clash_with_a_named_one() {
        let text =
            r#"permit (principal, action, resource); @id("policy0") permit (principal, action, resource);"#;
        assert!(Policies::compile(text).is_err_and(|error| error.kind() == Kind::Invalid));
    }

    #[test]
    fn more_than_256_kib_are_not_even_parsed() {
        let error = Policies::compile(&"permit (principal, action, resource);\n".repeat(8_000)).unwrap_err();
        assert_eq!(error.kind(), Kind::TooLarge);
    }

    fn when(condition: &str) -> String {
        format!("permit (principal, action, resource)\nwhen {{ {condition} }};")
    }

    #[test]
    fn nesting_without_end_is_refused_and_not_followed() {
        let told = refused(&when(&format!("{}true{}", "(".repeat(50_000), ")".repeat(50_000))));
        assert_eq!(told, "line 2: brackets are nested more than 32 deep");
    }

    #[test]
    fn a_policy_without_end_is_refused_and_not_followed() {
        for endless in
            [" && true", " || true", " == true", "+1", "*1", ".a", "[\"a\"]", " // ;\n if true then"]
        {
            let told = refused(&when(&format!("1{}", endless.repeat(40_000 / endless.len()))));
            assert!(told.ends_with("one policy is at most 16 KiB"), "{endless}: {told}");
        }
    }

    #[test]
    fn what_is_within_the_bounds_is_followed_to_its_end() {
        let deep = format!("{}true{}", "(".repeat(31), ")".repeat(31));
        let chained = format!("1{} > 0", "+1".repeat(8_000));
        let branched = format!("{}true{}", "if true then ".repeat(650), " else true".repeat(650));
        let quoted = format!("resource.kind != \"{}\\\"{}\"", "(".repeat(100), "[".repeat(100));
        for condition in [deep, chained, branched, quoted] {
            Policies::compile(&when(&condition)).unwrap();
        }
    }
}

#[test]
fn the_digest_names_the_text() {
    let (plain, own) =
        (Policies::compile("").unwrap(), Policies::compile("permit (principal, action, resource);").unwrap());
    assert_ne!(plain.digest(), own.digest());
    assert_eq!(plain.digest(), Policies::compile("").unwrap().digest());
    assert!(plain.digest().strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64));
}
