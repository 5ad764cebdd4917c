// Signatures that PyJWT 2.6 and the Python package cryptography 38 made with keys thrown away since, one for each algorithm; and odd keys.

import Crypto

enum SignatureVectors {
  static let rsaPEM = """
    -----BEGIN PUBLIC KEY-----
    MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA32TroQ13xjaY8vpo/RID
    Kz3v1L5cY3m/C2IE379pgygYuGssOYEAMhLq5JUUSJ4OXFhtGPnX0YtFc2czUiDF
    32fzuU655ouUDoY9IkNOaVXOE4LhjANIHGFRmlj7Q30bfT9z1zWizo1N1zDS8zDI
    b5TbP+WHqeGvskJKcexraspwrPhj+98zBtHGo8XC/nT+R2g3Aw84ffGq8LRn/DT2
    DnYUkr36GKbnJGaOURVgAIfAfcTzkv7dHCsWK83DhV8NyIap+7404CTg65fAkRSy
    2trQDjdiXLa1njBQ+fHQGbdka+FJO+1TWZ2jvdJcijqe/f4dx47PS7fgc7a6hXHV
    yQIDAQAB
    -----END PUBLIC KEY-----
    """

  static let p256PEM = """
    -----BEGIN PUBLIC KEY-----
    MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEsHO0A4s3YBFXc1l5BqGinsMGe/s4
    1VB9ZN13p4VCce+6zsu1WP9Z8nf5R2GjLSbzWjOal9h8MvhMd3XbRXFaTA==
    -----END PUBLIC KEY-----
    """

  static let p384PEM = """
    -----BEGIN PUBLIC KEY-----
    MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE89OWZEXlawd3tAi+7BjL4VQdnIWtCI2m
    KHQsyXCJnlcXWbO5aIQw1uewHNhu8NYy4pDxTxCmIjNVkqyH+ftBvlZRWot9HfEw
    WST+aPgpBPjUyMCk6zwfCjEhO+3u9fqE
    -----END PUBLIC KEY-----
    """

  static let edPEM = """
    -----BEGIN PUBLIC KEY-----
    MCowBQYDK2VwAyEA4BYxbPDYkWimFOYufdQM90k02FoM1buwsTfUwg18kEE=
    -----END PUBLIC KEY-----
    """

  static let rsaPKCS1PEM = """
    -----BEGIN RSA PUBLIC KEY-----
    MIIBCgKCAQEA32TroQ13xjaY8vpo/RIDKz3v1L5cY3m/C2IE379pgygYuGssOYEA
    MhLq5JUUSJ4OXFhtGPnX0YtFc2czUiDF32fzuU655ouUDoY9IkNOaVXOE4LhjANI
    HGFRmlj7Q30bfT9z1zWizo1N1zDS8zDIb5TbP+WHqeGvskJKcexraspwrPhj+98z
    BtHGo8XC/nT+R2g3Aw84ffGq8LRn/DT2DnYUkr36GKbnJGaOURVgAIfAfcTzkv7d
    HCsWK83DhV8NyIap+7404CTg65fAkRSy2trQDjdiXLa1njBQ+fHQGbdka+FJO+1T
    WZ2jvdJcijqe/f4dx47PS7fgc7a6hXHVyQIDAQAB
    -----END RSA PUBLIC KEY-----
    """

  /// The bytes 0 to 63.
  static let secret = [UInt8](0..<64)

  /// Algorithm and token.
  static let tokens: [(SignatureAlgorithm, String)] = [
    (
      .hs256,
      "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSJ9.uLbL5bc8Qp7jfAtqPpwFehDm9fiV55-bPWS-HA7iHx4"
    ),
    (
      .hs384,
      "eyJhbGciOiJIUzM4NCIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSJ9.5TqK1AQQ15dapP48Kj4u2Vsk6IcRhUDngSMDNjhLSG7IamFwxWiO"
        + "exJlqS_Nlvk2"
    ),
    (
      .hs512,
      "eyJhbGciOiJIUzUxMiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSJ9._Q1WWgDPwgeT_WbvI3X5vjfqmxujHaa7zKq5S1v_EfXEbbn1ioJ9"
        + "LQxAjp9khZGAi__lOh2WTg-3-CP303lQeQ"
    ),
    (
      .rs256,
      "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSJ9.wPXyLeaPkNNiH1WPGp6q83RbsQMqPBLG0OBURQYpXjhFZmWZqgPq"
        + "mJ6IJ3kkc7Wq_dWdDvICJmPowJ2N4_jT62mW5nh8BJ-RZN9M46bJOEcN0dbsMoVGLrK3fjn8LYKFpKUyKpF3Iq2pCbdp_-y31bOIsXAwcn2anN"
        + "p8s8gw8yL6yMewwJeTiGoL_q8GEIWFxiJkWjeAsxgBN7Y2NpliUUV3MYUHXYOMKMk8OAhZAwrf7MiZpMehHx3zz_t9XXNHUARBnAi--mp1O8dE"
        + "jgNOp0b9QEXrUsHI_H345uFvfmoQemfwkB5WWKzrlYaKFTmxLbDhtHsHCLmY6mAz7aqbPw"
    ),
    (
      .rs384,
      "eyJhbGciOiJSUzM4NCIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSJ9.hW5i5NqYR9NApCtjbA556FZUhnsx4iTKH9lD2Q_4E5JuRIsvHWJe"
        + "ZbItaQsgPHptlUDGuykJ0pgKzjJSSQWMkleVZ10RTcok6fXpFM69efLAMvD7GgQ7uJzVCzwQJjbJtFrlxnf2CNZbJnEXF37Mi9MU4yo9LJVKZ4"
        + "ExWpDRdUlLJ-JOQgm4Yy0CPLr_qRKNBLZ-5Te3VfaoSlaCU4CF6bJE3NXFpa4Klyt6yzRegNWwhk4LKCWfUNrpKwRY-ujXsZOGPdsWWhx-pjRP"
        + "W3_Gq49ATM8PJdDMDTrwVfWCDinOkcFaKptcZlS2DaIJL8wB986gkV4f8HTpCvMMlUet6g"
    ),
    (
      .rs512,
      "eyJhbGciOiJSUzUxMiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSJ9.S_q-V-cxUxFVEH_xPrd-VTibcqvcHJfdjBVbv_06PDRVxKYY90gb"
        + "mEQqC7WIgYPjGtHXUcvjJyT0LbtgJrSOdryghmoaVK5jCnOeQ_iLFQKat83RY6lg-sSG-4J90L3bwGi2YJ7yJNQJ4xBVS05lLrF0iFZjxcsqeZ"
        + "_9SotvMXvFF67EsGWOsrOX5n8bc8DYwCFAlV-Zdpgc8rBefN-cPZWLu0pWyB6zYMdnbLt63D_JYGxVj5VxqfTfwts_P2qXn_gpPNBkw4lPBWpk"
        + "QxLkiiTDpu0yAimteCLmnExkhK-INPNQPOR5i0rX50OcXi6jmSwRysrnBwixlM136yk6uQ"
    ),
    (
      .ps256,
      "eyJhbGciOiJQUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSJ9.Fbnt2xsoe16vEobg6GtUxco11Ydqek44a6R84hhvHXomyPI7-Q6K"
        + "0jMYURviBjRr8qnLXEOVN96U_vVWLsX-riI_u9iMzKpoyC2sOh2VHQKlm_Xy2WzES9hKAvwelKrbuWdRGNmkBJp1DSYDB1jnPsP90cbrsvJLUy"
        + "UCHX9hwM6ip1NRht6Auo_5g3ZdA5T1YI65auF4Hd1VcARILiriGc4UN04pvSv88zwIDfdFhtT66TuoGR7_q6SMbWVCDp4Q45M5K4c7ezcGO5on"
        + "jlNOJy9Vm9aSRsSVa0F-Y_GfWZdIRz42kxhAa1s4-d7cZsdfyGJ9-wGuv2bvbDtSXs1kog"
    ),
    (
      .ps384,
      "eyJhbGciOiJQUzM4NCIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSJ9.GsRWhTH0feuuA5C8tfuV60zJHu_5_X5vbxaUHtx88GRmSso8p52s"
        + "xRLb3AeTtOvXJMPIZyFgzH0RMRYEUPfe51AwVD1Cb3ZWRwTuTJDypWCKxggWrd06S0EQ8H6tFQpu_K2JauGyy20KHiajGPezSu9BVv7t77Dpc0"
        + "TSOs63HSl81q-MIhHej7YOZRFRUX1jF26cV0N6HOn-vFvoFiNr5ZroJKc7ERxPajl2HfsU0XLrwlDsn6HKkBYt6chenYXwOw6WSFMxWdssn1l3"
        + "t40WRtMaCCZUCbal_gBJhTFiyvftq27DRRsWWKOIIn84DTvAnB_IFG4ONMenpT0M7XlCGw"
    ),
    (
      .ps512,
      "eyJhbGciOiJQUzUxMiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSJ9.a4JiCf-v4PmQcrQ3XGqwebKbIMopc3gAM6W_I_1ZIleaYJROjP45"
        + "qAbh6V7OLaQAbonvZXoBd5fYgh3nRvD8mqklcgJUW7sNKnydKgKJimTE3SVZAoA_GZo7AobeRrGcf738vgElK8u_4jONXEJbedlyrch2tFNp6E"
        + "XvbLNoRT2sx0IFpqGVEdX3nwdwMnfTIF5UzzSCy-N8k3Xmz1TG8lOhhwY0h3kezGL1LngJ333GWX-9ZC5ksKY00k4JGKt1uWPFDkwzqTQNN7qg"
        + "AqSyAjQYSyTUzl4aUhQMpoh5dLfhrexKtaGKlkV7cZH6GidiUrFMvPLY-Uj4qTt17QQ6rw"
    ),
    (
      .es256,
      "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSJ9.HDz8aSo0rqapM-zRpW9OTp4CeJfiO1xamWCq8Ofy6qzdt_Hr16XD"
        + "ZIgF-_9Xl6bfMDQDMmCM1Lw5ytosKIMtPw"
    ),
    (
      .es384,
      "eyJhbGciOiJFUzM4NCIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSJ9.m5W6kURpkqZQ4xyx7lqBBcyuOP96dHwSTfOyvDVrQXZAqvJDC2il"
        + "EggFQpJrD2NpZe5yRpKd57c051KdZyOboJvKBPZEPzlfvriksFYwy5gEyqJnlET3zjPc92O-WYci"
    ),
    (
      .edDSA,
      "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSJ9.ipeI-YVFjd50ZaejjOcWZygEZ-p3_Lm9Fty1cwoRpKB4SdTmegbP"
        + "OZcl38zQaibhmgffZLgpqJRwXa3wWcibAQ"
    ),
  ]

  /// Of the P-256 key; its dates have passed.
  static let certificatePEM = """
    -----BEGIN CERTIFICATE-----
    MIIBDjCBtaADAgECAgEBMAoGCCqGSM49BAMCMBExDzANBgNVBAMMBmlzc3VlcjAe
    Fw0yMDAxMDEwMDAwMDBaFw0yMTAxMDEwMDAwMDBaMBExDzANBgNVBAMMBmlzc3Vl
    cjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABLBztAOLN2ARV3NZeQahop7DBnv7
    ONVQfWTdd6eFQnHvus7LtVj/WfJ3+Udhoy0m81ozmpfYfDL4THd120VxWkwwCgYI
    KoZIzj0EAwIDSAAwRQIgbuZ8jTcYS+Qv/qEoVIQ4x2bjCIsjrewPmqsDQvRmKR0C
    IQCRBeSmcTLuj1aYqpvjKKgCKxr12f3whHyIyUyJgFV4ug==
    -----END CERTIFICATE-----
    """

  static let rsa1024PEM = """
    -----BEGIN PUBLIC KEY-----
    MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDF0YlqgMmNOjARBYp9ZMaSbrGj
    1OeKg23aq9dw0Jy+ZAYjckS0UTJpoNjBlD7pBsG72wwS7fBnDhxEAuTTAYI+8Vza
    tz1Akp0Xewe7+Ojnxn/2fFWC499LvnSnLcwU2+tX5JuJCMHE9oQhbr15pPlk8yjN
    ww4dA2nagSTKoAhIVwIDAQAB
    -----END PUBLIC KEY-----
    """

  static let p521PEM = """
    -----BEGIN PUBLIC KEY-----
    MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQAYUeXMChjOv+fTTYRDGoKlpRrKByq
    XXeKOPPz8amcfIkxVThUgbBVpja4MYEntm6b/s0p0tFr4HyqMcf5FPqPy/ABg8ku
    y1U9Wh8fnQH18Um+P9AJeF2RQYbTByemaFQY/ou6wpGeBunZCf2/5FpK25ObnnOl
    IV44dvwUsMNwMBEe0gQ=
    -----END PUBLIC KEY-----
    """

  static let pssOnlyPEM = """
    -----BEGIN PUBLIC KEY-----
    MIIBIDALBgkqhkiG9w0BAQoDggEPADCCAQoCggEBAKYvpSFXaWppqPvcnJNB1Z5C
    XUuWUfrYcCgdp0C0ajth/2xFmFE+1JXHo0PTp7MZHRxAh9tfKBrssUZ8gJj5RYhf
    yzLRG2TCkiX1bHKmWfGIoragfZoZyg1MF8QwfL6qm0d6P0YytgvZ0y1GTW6M8IF1
    nq2FjFiYqqrPmxNiJ04XznP1bYrRsdGj2ydW2gyJqHOaQQaUZPGINFJf85C7GvF+
    kOvinoNTFc+W4f6JN7ky8rHwPihZ2UKVAM0YoERAsj1AWQz463Pje5WdpR5fNiYX
    H9N6i34PYY7O/rBlesIZ3kalPtH0qB40fjPE/gS61YRaBOTUSHOwDAt8qYJQtjsC
    AwEAAQ==
    -----END PUBLIC KEY-----
    """

  static let p256x = "sHO0A4s3YBFXc1l5BqGinsMGe_s41VB9ZN13p4VCce8"
  static let p256y = "us7LtVj_WfJ3-Udhoy0m81ozmpfYfDL4THd120VxWkw"
}
