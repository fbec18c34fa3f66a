extension LanguageGatedMLP {
  static let entries =
    entries(
      family: "gMLP (text)", paper: "arXiv 2105.08050",
      [
        Variant("gmlp_base", .base, parameters: 130_105_552, multiplyAdds: 78_570_979_328),
        Variant("gmlp_large", .large, parameters: 365_306_528, multiplyAdds: 214_493_233_152),
        Variant("gmlp_xlarge", .extraLarge, parameters: 940_614_768, multiplyAdds: 543_689_015_296),
      ])
    + entries(
      family: "aMLP (text)", paper: "arXiv 2105.08050",
      [
        Variant("amlp_base", .attentiveBase, parameters: 108_823_516, multiplyAdds: 64_075_464_704),
        Variant(
          "amlp_large", .attentiveLarge, parameters: 315_659_960, multiplyAdds: 184_294_244_352),
      ])
}
