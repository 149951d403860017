use super::*;

#[test]
fn faults_name_the_operator_its_place_and_what_would_be_right() {
    let table = [
        (
            "a %RESPONSE_COD% b",
            "unknown operator %RESPONSE_COD% at byte 2; did you mean %RESPONSE_CODE%?",
        ),
        (
            "%%%Req(X)%",
            "unknown operator %Req% at byte 2; did you mean %REQ%?",
        ),
        (
            "%START_TIM%",
            "unknown operator %START_TIM% at byte 0; did you mean %START_TIME%?",
        ),
        (
            "%XYZZYXYZZYXYZZY%",
            "unknown operator %XYZZYXYZZYXYZZY% at byte 0",
        ),
        (
            "50% done",
            "the operator at byte 2 has no closing %; a percent sign is written %%",
        ),
        (
            "%REQ%",
            "operator %REQ% at byte 0: a header's name in parentheses is missing",
        ),
        (
            "%REQ(X%",
            "operator %REQ% at byte 0: the closing parenthesis is missing",
        ),
        ("%REQ()%", "operator %REQ% at byte 0: a header's name is missing"),
        (
            "%REQ(A?)%",
            "operator %REQ% at byte 0: a header's name is missing",
        ),
        (
            "%REQ(A B)%",
            "operator %REQ% at byte 0: a header's name has a character that none can have",
        ),
        (
            "%REQ(A):0%",
            "operator %REQ% at byte 0: the length must be a number of bytes above 0",
        ),
        (
            "%REQ(A):x%",
            "operator %REQ% at byte 0: the length must be a number of bytes above 0",
        ),
        (
            "%REQ(A)5%",
            "operator %REQ% at byte 0: only :length may follow the parenthesis",
        ),
        (
            "%START_TIME(%Q)%",
            "operator %START_TIME% at byte 0: the format's conversions are %Y %y %C %m %d %e %j %H %I %M %S %p %a %A %b %B %h \
             %F %T %R %D %z %Z %s %f, %1f to %9f and %%",
        ),
        (
            "%START_TIME(%s):3%",
            "operator %START_TIME% at byte 0: it takes no length",
        ),
        (
            "%DURATION(ms)%",
            "operator %DURATION% at byte 0: it takes no argument and no length",
        ),
        (
            "ab %DYNAMIC_METADATA(a:b):5%",
            "operator %DYNAMIC_METADATA% at byte 3 does not exist here: filters leave no metadata; what they decided is in \
             %RESPONSE_CODE_DETAILS% and in headers, %REQ(NAME)%",
        ),
        (
            "%GRPC_STATUS(LOUD)%",
            "operator %GRPC_STATUS% at byte 0: the spellings are CAMEL_STRING, SNAKE_STRING and NUMBER",
        ),
        (
            "%COMMON_DURATION(DS_RX_BEG:US_CX_END:ms)%",
            "operator %COMMON_DURATION% at byte 0: it takes two of DS_RX_BEG, DS_RX_END, US_RX_BEG and DS_TX_END and one of ms, \
             us and ns, such as (DS_RX_BEG:US_RX_BEG:us); other points are not measured",
        ),
        (
            "%QUERY_PARAM%",
            "operator %QUERY_PARAM% at byte 0: a parameter's name in parentheses is missing",
        ),
        (
            "%ENVIRONMENT(A=B)%",
            "operator %ENVIRONMENT% at byte 0: a variable's name has a character that none can have",
        ),
        (
            "%PATH(XX:PATH)%",
            "operator %PATH% at byte 0: it takes WQ or NQ and then ORIG, PATH or ORIG_OR_PATH, such as (NQ:PATH)",
        ),
        (
            "%START_TIME(%Y%",
            "operator %START_TIME% at byte 0: the closing parenthesis is missing",
        ),
        (
            "%DURATION:3%",
            "operator %DURATION% at byte 0: it takes no argument and no length",
        ),
    ];
    for (template, message) in table {
        assert_eq!(
            parse(template, FormatOptions::default()).unwrap_err().to_string(),
            message,
            "{template}"
        );
    }
    let pseudo = parse("%RESP(:STATUS)%", FormatOptions::default())
        .unwrap_err()
        .to_string();
    assert!(
        pseudo.contains(":METHOD, :PATH, :AUTHORITY and :SCHEME"),
        "{pseudo}"
    );
}

#[test]
fn every_operator_of_envoys_is_there_or_refused_by_name() {
    for (name, instead) in NOT_HERE {
        let fault = parse(&format!("%{name}%"), FormatOptions::default()).unwrap_err();
        assert!(matches!(fault, FormatError::NotHere { .. }), "{fault}");
        assert!(!instead.is_empty());
        // What is named instead exists.
        for other in instead.split('%').skip(1).step_by(2) {
            let template = format!("%{}%", other.replace("(NAME)", "(x-name)"));
            assert!(
                parse(&template, FormatOptions::default()).is_ok(),
                "{name}: {other}"
            );
        }
    }
}

#[test]
fn numbers_are_said_to_be_numbers() {
    for rare in RARE {
        let argument = match rare.name {
            "COMMON_DURATION" => "(DS_RX_BEG:DS_TX_END:ms)",
            "ENVIRONMENT" | "QUERY_PARAM" | "REQ_WITHOUT_QUERY" => "(x)",
            _ => "",
        };
        let template = format!("%{}{argument}%", rare.name);
        let pieces = parse(&template, FormatOptions::default()).unwrap();
        let [Piece::Operator(operator)] = pieces.as_slice() else {
            panic!("{template} is one operator");
        };
        assert_eq!(operator.is_number(), rare.kind() == "number", "{template}");
    }
}
