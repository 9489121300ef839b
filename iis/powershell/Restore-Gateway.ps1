<#
.SYNOPSIS
    The configuration of IIS, and the web.config of our sites, are those of a backup.
.DESCRIPTION
    Run by ansible.windows.win_powershell. appcmd stops the web server for it, and starts it again. A backup in which
    sites of others are not as they are now is refused, unless that is asked for: they would be changed with ours.
.PARAMETER Name
    One of Backup-Gateway.ps1. One that does not exist, as an empty text, is answered with those that do.
.PARAMETER SitesRoot
    Folder with one folder per site of ours.
.PARAMETER Store
    Folder in which Backup-Gateway.ps1 keeps the web.config of each site.
.PARAMETER Sites
    Names of our sites.
.PARAMETER Others
    Whether sites of others may be changed, too.
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory = $true)]
    [AllowEmptyString()]
    [string]
    $Name,

    [Parameter(Mandatory = $true)]
    [string]
    $SitesRoot,

    [Parameter(Mandatory = $true)]
    [string]
    $Store,

    [Parameter(Mandatory = $true)]
    [string[]]
    $Sites,

    [Parameter(Mandatory = $true)]
    [bool]
    $Others
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$Ansible.Changed = $false

$inetsrv = Join-Path -Path $env:SystemRoot -ChildPath 'System32\inetsrv'
$backups = Join-Path -Path $inetsrv -ChildPath 'backup'

$there = @()
if (Test-Path -LiteralPath $backups) {
    $there = @(
        Get-ChildItem -LiteralPath $backups -Directory -Filter 'comfystack-*' |
            Sort-Object -Property Name | ForEach-Object { $_.Name }
    )
}
if ($there -notcontains $Name) {
    throw "found: no backup '$Name'`n" +
        "expected: one of $($there -join ', ')`n" +
        "next step: name it; their times are UTC"
}

function Get-OtherSite {
    param([string]$Folder)

    $document = [xml](Get-Content -LiteralPath (Join-Path -Path $Folder -ChildPath 'applicationHost.config') -Raw)
    $found = @{}
    foreach ($site in $document.SelectNodes('/configuration/system.applicationHost/sites/site')) {
        if ($Sites -notcontains $site.GetAttribute('name')) {
            $found[$site.GetAttribute('name')] = $site.OuterXml
        }
    }
    return $found
}

$now = Get-OtherSite -Folder (Join-Path -Path $inetsrv -ChildPath 'config')
$then = Get-OtherSite -Folder (Join-Path -Path $backups -ChildPath $Name)
$different = @(@($now.Keys) + @($then.Keys) | Sort-Object -Unique | Where-Object { $now[$_] -ne $then[$_] })
if ($different.Count -gt 0 -and -not $Others) {
    throw "found: in the backup $Name sites of others are not as they are now: $($different -join ', ')`n" +
        "expected: a backup that changes our sites alone`n" +
        "next step: take a later one, or say iis_gateway_restore_others=true to change those sites too"
}

if ($PSCmdlet.ShouldProcess($Name, 'restore the configuration of IIS')) {
    $env:Path = "$inetsrv;$env:Path"
    $said = (@(& appcmd.exe restore backup $Name) -join ' ').Trim()
    if ($LASTEXITCODE -ne 0) {
        throw "found: appcmd restore backup ended with ${LASTEXITCODE}: $said`n" +
            "expected: the configuration of $Name`n" +
            "next step: settle what it says, and run this again"
    }
    $kept = Join-Path -Path $Store -ChildPath $Name
    if (Test-Path -LiteralPath $kept) {
        foreach ($folder in @(Get-ChildItem -LiteralPath $kept -Directory)) {
            $target = Join-Path -Path $SitesRoot -ChildPath $folder.Name
            $null = New-Item -Path $target -ItemType Directory -Force
            Copy-Item -LiteralPath (Join-Path -Path $folder.FullName -ChildPath 'web.config') -Destination $target -Force
        }
    }
}
$Ansible.Changed = $true
$Ansible.Diff = @{ before = @{ sites_of_others = $different }; after = @{ backup = $Name } }
$Ansible.Result = @{ name = $Name }
