<#
.SYNOPSIS
    What the server itself has: Windows, IIS modules, settings of applicationHost.config, locks of its sections.
#>
Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

$appHost = 'MACHINE/WEBROOT/APPHOST'

# section, name, value: what role iis_gateway sets at server level.
$settings = @(
    'system.webServer/proxy enabled True'
    'system.webServer/proxy preserveHostHeader True'
    'system.webServer/proxy reverseRewriteHostInResponseHeaders False'
    'system.webServer/proxy includePortInXForwardedFor False'
    'system.webServer/proxy timeout 01:00:00'
    'system.webServer/proxy minResponseBuffer 0'
    'system.webServer/proxy arrResponseHeader False'
    'system.webServer/proxy/cache enabled False'
    'system.webServer/webSocket enabled True'
    'system.webServer/webSocket pingInterval 00:00:30'
)
$variables = @(
    'HTTP_FORWARDED', 'HTTP_SEC_WEBSOCKET_EXTENSIONS', 'HTTP_X_FORWARDED_FOR', 'HTTP_X_FORWARDED_HOST'
    'HTTP_X_FORWARDED_PORT', 'HTTP_X_FORWARDED_PROTO', 'HTTP_X_REAL_IP'
)
# section, who may set it: Deny is locked until an administrator unlocks it, AppHostOnly can never be.
$locks = @(
    'system.webServer/proxy Deny'
    'system.webServer/webSocket Deny'
    'system.webServer/serverRuntime Deny'
    'system.webServer/handlers Deny'
    'system.webServer/security/ipSecurity Deny'
    'system.webServer/rewrite/allowedServerVariables Deny'
    'system.webServer/rewrite/globalRules AppHostOnly'
    'system.webServer/httpCompression AppHostOnly'
    'webFarms AppHostOnly'
    'system.webServer/rewrite/rules Allow'
    'system.webServer/rewrite/outboundRules Allow'
    'system.webServer/rewrite/rewriteMaps Allow'
    'system.webServer/security/requestFiltering Allow'
    'system.webServer/httpProtocol Allow'
    'system.webServer/httpErrors Allow'
    'system.webServer/httpRedirect Allow'
    'system.webServer/urlCompression Allow'
    'system.webServer/caching Allow'
    'system.webServer/staticContent Allow'
)
$products = @{
    'URL Rewrite 2.1' = '{9BCA2118-F753-4A1E-BCF3-5A820729965C}'
    'ARR 3.0' = '{279B4CB0-A213-4F94-B224-19D6F5C59942}'
}
$files = @{
    'URL Rewrite 2.1' = 'C:\Windows\System32\inetsrv\rewrite.dll'
    'ARR 3.0' = 'C:\Program Files\IIS\Application Request Routing\requestRouter.dll'
}

function Get-Setting {
    param([string]$Section, [string]$Setting)

    $value = Get-WebConfigurationProperty -PSPath $appHost -Filter $Section -Name $Setting
    # Some settings come as they are, others inside a ConfigurationAttribute.
    if ($null -ne $value -and $null -ne $value.PSObject.Properties['Value']) {
        return [string]$value.Value
    }
    return [string]$value
}

function Get-Lock {
    param([string]$Section)

    $names = @($Section -split '/')
    $group = (Get-IISServerManager).GetApplicationHostConfiguration().RootSectionGroup
    foreach ($part in @($names | Select-Object -SkipLast 1)) {
        $group = $group.SectionGroups[$part]
        if ($null -eq $group) {
            return 'no such section'
        }
    }
    $definition = $group.Sections[$names[-1]]
    if ($null -eq $definition) {
        return 'no such section'
    }
    return "$($definition.OverrideModeDefault), defined $($definition.AllowDefinition)"
}

function Get-PlatformResult {
    $system = Get-CimInstance -ClassName Win32_OperatingSystem
    ConvertTo-Result -Part 'platform' -Check 'Windows' -Found "$($system.Caption) $($system.Version)" -Outcome 'pass'
    foreach ($product in $files.Keys) {
        $found = 'missing'
        if (Test-Path -LiteralPath $files[$product]) {
            $found = (Get-Item -LiteralPath $files[$product]).VersionInfo.FileVersion
        }
        Compare-Result -Part 'installer' -Check $product -Found $found -Expected $files[$product] -Pattern '^\d'
        $key = "HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall\$($products[$product])"
        Compare-Result -Part 'installer' -Check "$product has its product code" -Found (Test-Path -LiteralPath $key) `
            -Expected $products[$product] -Pattern 'True'
    }
    $feature = Get-WindowsOptionalFeature -Online -FeatureName IIS-WebSockets
    Compare-Result -Part 'trap 15' -Check 'feature IIS-WebSockets' -Found $feature.State -Expected 'Enabled' `
        -Pattern '^Enabled$'
}

function Get-ServerResult {
    foreach ($line in $settings) {
        $section, $setting, $wanted = $line -split ' '
        Compare-Result -Part 'server' -Check "$section/@$setting" -Expected $wanted `
            -Found (Get-Setting -Section $section -Setting $setting) -Pattern "^$wanted$"
    }
    $filter = 'system.webServer/rewrite/allowedServerVariables/add'
    $allowed = @(Get-WebConfiguration -PSPath $appHost -Filter $filter | ForEach-Object { $_.name })
    foreach ($variable in $variables) {
        Compare-Result -Part 'trap 4' -Check "$variable may be set" -Found ($allowed -contains $variable) `
            -Expected 'True' -Pattern 'True'
    }
    foreach ($line in $locks) {
        $section, $wanted = $line -split ' '
        $found = Get-Lock -Section $section
        Compare-Result -Part 'lock' -Check $section -Found $found -Expected $wanted -Pattern "\b$wanted\b"
    }
}

Export-ModuleMember -Function @('Get-PlatformResult', 'Get-ServerResult')
