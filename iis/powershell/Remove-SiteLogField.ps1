<#
.SYNOPSIS
    The logs of the named sites leave out the named fields.
.DESCRIPTION
    Run by ansible.windows.win_powershell. Only takes away: what else a site logs, and where, stays as it is.
    Other sites and the server's own default are not touched.
.PARAMETER Sites
    Names of sites in IIS.
.PARAMETER Fields
    Names as logExtFileFlags has them, such as UriQuery.
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory = $true)]
    [ValidatePattern('^[A-Za-z0-9. _-]+$')]
    [string[]]
    $Sites,

    [Parameter(Mandatory = $true)]
    [string[]]
    $Fields
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$Ansible.Changed = $false

Import-Module -Name WebAdministration

$before = @{}
$after = @{}
foreach ($site in $Sites) {
    $property = @{
        PSPath = 'MACHINE/WEBROOT/APPHOST'
        Filter = "system.applicationHost/sites/site[@name='$site']/logFile"
        Name = 'logExtFileFlags'
    }
    $current = Get-WebConfigurationProperty @property -WarningAction SilentlyContinue
    if ($null -eq $current) {
        throw "IIS has no site '$site'"
    }
    # One name or many, IIS hands the flags out as one text with commas.
    $logged = @(([string]$current) -split ',' | ForEach-Object { $_.Trim() } | Where-Object { $_ })
    $wanted = @($logged | Where-Object { $Fields -notcontains $_ })
    if ($wanted.Count -eq $logged.Count) {
        continue
    }
    $before[$site] = $logged
    $after[$site] = $wanted
    if ($PSCmdlet.ShouldProcess($site, "log without $($Fields -join ', ')")) {
        Set-WebConfigurationProperty @property -Value ($wanted -join ',')
    }
    $Ansible.Changed = $true
}

$Ansible.Diff = @{ before = $before; after = $after }
$Ansible.Result = @{ changed_sites = @($after.Keys) }
