<#
.SYNOPSIS
    IIS has a backup of its configuration as it is now, and of the web.config of each of our sites.
.DESCRIPTION
    Run by ansible.windows.win_powershell, before anything is changed and when all is done. Where a backup of the very
    same configuration exists, none is made. Where there is no IIS, there is nothing to back up.
    The result has "name", the backup that holds what is there now, or an empty text.
.PARAMETER SitesRoot
    Folder with one folder per site of ours.
.PARAMETER Store
    Folder for what appcmd leaves out: the web.config of each site, by the name of the backup.
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory = $true)]
    [string]
    $SitesRoot,

    [Parameter(Mandatory = $true)]
    [string]
    $Store
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$Ansible.Changed = $false
$Ansible.Result = @{ name = '' }

$inetsrv = Join-Path -Path $env:SystemRoot -ChildPath 'System32\inetsrv'
if (-not (Test-Path -LiteralPath (Join-Path -Path $inetsrv -ChildPath 'appcmd.exe'))) {
    return
}

$files = @(Get-Item -LiteralPath (Join-Path -Path $inetsrv -ChildPath 'config\applicationHost.config'))
$ours = @()
if (Test-Path -LiteralPath $SitesRoot) {
    $ours = @(
        Get-ChildItem -LiteralPath $SitesRoot -Directory |
            ForEach-Object { Get-ChildItem -LiteralPath $_.FullName -File -Filter 'web.config' }
    )
}
$sums = @(
    $files + $ours | Sort-Object -Property FullName |
        ForEach-Object { '{0} {1}' -f (Get-FileHash -LiteralPath $_.FullName -Algorithm SHA256).Hash, $_.FullName }
)
$hash = [System.Security.Cryptography.SHA256]::Create()
$digest = $hash.ComputeHash([System.Text.Encoding]::UTF8.GetBytes($sums -join "`n"))
$mark = ([System.BitConverter]::ToString($digest) -replace '-', '').Substring(0, 16).ToLowerInvariant()

$backups = Join-Path -Path $inetsrv -ChildPath 'backup'
$held = @()
if (Test-Path -LiteralPath $backups) {
    $held = @(Get-ChildItem -LiteralPath $backups -Directory -Filter "comfystack-*-$mark")
}
if ($held.Count -gt 0) {
    $Ansible.Result = @{ name = $held[0].Name }
    return
}

$name = 'comfystack-{0}-{1}' -f (Get-Date).ToUniversalTime().ToString('yyyyMMdd-HHmmss'), $mark
if ($PSCmdlet.ShouldProcess($name, 'back up the configuration of IIS')) {
    # Ours first: a backup that appcmd lists is a whole one.
    foreach ($file in $ours) {
        $folder = Join-Path -Path (Join-Path -Path $Store -ChildPath $name) -ChildPath $file.Directory.Name
        $null = New-Item -Path $folder -ItemType Directory -Force
        Copy-Item -LiteralPath $file.FullName -Destination $folder
    }
    $env:Path = "$inetsrv;$env:Path"
    $said = (@(& appcmd.exe add backup $name) -join ' ').Trim()
    if ($LASTEXITCODE -ne 0) {
        throw "found: appcmd add backup ended with ${LASTEXITCODE}: $said`n" +
            "expected: a backup of the configuration, before anything is changed`n" +
            "next step: see whether the disk of Windows is full; nothing was changed"
    }
}
$Ansible.Changed = $true
$Ansible.Diff = @{ before = @{ backup = '' }; after = @{ backup = $name } }
$Ansible.Result = @{ name = $name }
