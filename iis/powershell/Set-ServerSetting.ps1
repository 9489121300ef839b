<#
.SYNOPSIS
    Settings of applicationHost.config, server level, have the values they are given.
.DESCRIPTION
    Run by ansible.windows.win_powershell. Reads each setting, compares in the setting's own type, and writes
    only what differs. Nothing that is not named is touched.
.PARAMETER Settings
    Objects with "section" (such as system.webServer/proxy), "name" and "value".
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory = $true)]
    [object[]]
    $Settings
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$Ansible.Changed = $false

Import-Module -Name WebAdministration

$appHost = 'MACHINE/WEBROOT/APPHOST'

function Get-Setting {
    param([string]$Section, [string]$Name)

    $found = Get-WebConfigurationProperty -PSPath $appHost -Filter $Section -Name $Name -WarningAction SilentlyContinue
    if ($null -eq $found) {
        throw "IIS knows no setting '$Name' in section '$Section': is the module that brings it installed?"
    }
    # Some settings come as they are, others inside a ConfigurationAttribute.
    if ($null -ne $found.PSObject.Properties['Value']) {
        return $found.Value
    }
    return $found
}

function ConvertTo-SettingType {
    param($Value, $Like)

    if ($Like -is [bool]) {
        return [bool]::Parse([string]$Value)
    }
    if ($Like -is [timespan]) {
        return [timespan]::Parse([string]$Value)
    }
    if ($Like -is [string]) {
        return [string]$Value
    }
    return [long]$Value
}

$before = @{}
$after = @{}
foreach ($setting in $Settings) {
    $key = '{0}/@{1}' -f $setting.section, $setting.name
    $current = Get-Setting -Section $setting.section -Name $setting.name
    $wanted = ConvertTo-SettingType -Value $setting.value -Like $current
    if ($current -eq $wanted) {
        continue
    }
    $before[$key] = [string]$current
    $after[$key] = [string]$wanted
    if ($PSCmdlet.ShouldProcess($key, "set to $wanted")) {
        $property = @{
            PSPath = $appHost
            Filter = $setting.section
            Name = $setting.name
            Value = $wanted
        }
        Set-WebConfigurationProperty @property
    }
    $Ansible.Changed = $true
}

$Ansible.Diff = @{ before = $before; after = $after }
$Ansible.Result = @{ changed_settings = @($after.Keys) }
