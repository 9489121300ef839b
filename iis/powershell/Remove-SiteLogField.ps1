<#
.SYNOPSIS
    The log of a site leaves out the named fields.
.DESCRIPTION
    Run by ansible.windows.win_powershell. Only takes away: what else the site logs, and where, stays as it is.
    Other sites and the server's own default are not touched.
.PARAMETER Site
    Name of the site in IIS.
.PARAMETER Fields
    Names as logExtFileFlags has them, such as UriQuery.
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory = $true)]
    [ValidatePattern('^[A-Za-z0-9. _-]+$')]
    [string]
    $Site,

    [Parameter(Mandatory = $true)]
    [string[]]
    $Fields
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$Ansible.Changed = $false

Import-Module -Name WebAdministration

$property = @{
    PSPath = 'MACHINE/WEBROOT/APPHOST'
    Filter = "system.applicationHost/sites/site[@name='$Site']/logFile"
    Name = 'logExtFileFlags'
}

$current = Get-WebConfigurationProperty @property -WarningAction SilentlyContinue
if ($null -eq $current) {
    throw "IIS has no site '$Site'"
}
# One name or many, IIS hands the flags out as one text with commas.
$logged = @(([string]$current) -split ',' | ForEach-Object { $_.Trim() } | Where-Object { $_ })
$wanted = @($logged | Where-Object { $Fields -notcontains $_ })

if ($wanted.Count -ne $logged.Count) {
    if ($PSCmdlet.ShouldProcess($Site, "log without $($Fields -join ', ')")) {
        Set-WebConfigurationProperty @property -Value ($wanted -join ',')
    }
    $Ansible.Changed = $true
}

$Ansible.Diff = @{ before = @{ logged = $logged }; after = @{ logged = $wanted } }
$Ansible.Result = @{ logged = $wanted }
